"""Versions of drivers as people write them."""

import re

import pytest

from tests.support.drivers import TABLE
from worker_images.model.drivers import version


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("535.54.3", "did you mean 535.54.03?"),
        ("535.104.5", "did you mean 535.104.05?"),
        ("535.054.03", "did you mean 535.54.03?"),
        ("580.159.04\n", "no driver version"),
        ("\uff1580.159.04", "'\\uff1580.159.04' is no driver version"),
        ("NVRM version: 580.159.04", "no driver version"),
        ("vv580.159.04", "no driver version"),
        ("580.159.04 580.126.20", "no driver version"),
        ("latest", "no driver version"),
        ("", "no driver version"),
        ("-580.159.04", "no driver version"),
    ],
)
def test_nonsense_is_refused(text: str, words: str) -> None:
    with pytest.raises(version.VersionError, match=re.escape(words)):
        version.driver(text, TABLE)


@pytest.mark.parametrize("text", ["535.54.03", " 535.54.03", "535.54.03\t", "v535.54.03"])
def test_what_people_write_is_taken(text: str) -> None:
    assert version.driver(text, TABLE) == "535.54.03"


def test_every_driver_of_the_table_is_a_version() -> None:
    assert [version.driver(each, TABLE) for each in TABLE.drivers] == list(TABLE.drivers)
