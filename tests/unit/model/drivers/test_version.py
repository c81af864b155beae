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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("580", "gVisor knows 580.65.06 580.82.07"),
        ("R535", "of branch 535"),
        ("570.x", "of branch 570"),
        ("12.8", "it looks like a version of CUDA or of vGPU software"),
        ("17.5", "it looks like a version of CUDA or of vGPU software"),
        ("36.4", "it looks like a release of Jetson Linux (L4T)"),
        ("R36", "it looks like a release of Jetson Linux (L4T)"),
        ("550.144.03-0ubuntu1", "did you mean 550.144.03?"),
        ("580.159.04,535.288.01", "did you mean 580.159.04 535.288.01?"),
    ],
)
def test_text_that_is_something_else_is_named(text: str, message: str) -> None:
    with pytest.raises(version.VersionError, match=re.escape(message)):
        version.driver(text, TABLE)


@pytest.mark.parametrize("text", ["32.0.15.6094", "777", "1.2.3.4", "20.1"])
def test_text_that_is_unknown_gets_no_suggestion(text: str) -> None:
    with pytest.raises(version.VersionError, match="is not a driver version; write it as"):
        version.driver(text, TABLE)


@pytest.mark.parametrize("text", ["20260622", "release-20260622.0-46-g879cb2dc2", "20260622.0-a.8"])
def test_release_of_a_later_build_is_suggested(text: str) -> None:
    """runsc --version prints the release with the commit, or with the name of a fork."""
    with pytest.raises(version.VersionError, match=re.escape("did you mean 20260622.0?")):
        version.release(text, TABLE)
    with pytest.raises(version.VersionError, match="is not a gVisor release; write it as"):
        version.release("20260623.0-46-g879cb2dc2", TABLE)
