"""Versions of drivers as users write them."""

import re

import pytest

from tests.support.drivers import TABLE
from worker_images.model.drivers import version


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("535.54.3", "did you mean 535.54.03?"),
        ("535.104.5", "did you mean 535.104.05?"),
        ("535.054.03", "did you mean 535.54.03?"),
        ("580.159.04\n", "not a driver version"),
        ("\uff1580.159.04", "'\\uff1580.159.04' is not a driver version"),
        ("NVRM version: 580.159.04", "not a driver version"),
        ("vv580.159.04", "not a driver version"),
        ("580.159.04 580.126.20", "not a driver version"),
        ("latest", "not a driver version"),
        ("", "not a driver version"),
        ("-580.159.04", "not a driver version"),
    ],
)
def test_invalid_version_is_an_error(text: str, message: str) -> None:
    with pytest.raises(version.VersionError, match=re.escape(message)):
        version.driver(text, TABLE)


@pytest.mark.parametrize("text", ["535.54.03", " 535.54.03", "535.54.03\t", "v535.54.03"])
def test_version_is_accepted_with_blanks_and_prefix(text: str) -> None:
    assert version.driver(text, TABLE) == "535.54.03"


def test_every_driver_of_the_table_is_valid() -> None:
    assert [version.driver(each, TABLE) for each in TABLE.drivers] == list(TABLE.drivers)
