"""The driver's version in /proc/driver/nvidia/version."""

from pathlib import Path

import pytest

from tests.support.drivers import CLOSED, OPEN
from worker_images.model.drivers import kernel
from worker_images.model.drivers.kernel import version_in
from worker_images.node.stand_in import DRIVER


def test_bytes_that_are_not_text_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "version").write_bytes(b"\xff\xfe" + OPEN.format("580.159.04").encode() + b"\xff")
    assert kernel.version_of(tmp_path / "version") == ""
    (tmp_path / "version").write_bytes(OPEN.format("580.159.04").encode() + b"\xff")
    assert kernel.version_of(tmp_path / "version") == "580.159.04"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (OPEN.format(DRIVER), DRIVER),
        (CLOSED.format("535.129.03"), "535.129.03"),
        ("GCC version:  gcc 12.2.0\n", ""),
        ("", ""),
    ],
)
def test_version_is_found_in_both_kinds_of_module(text: str, version: str) -> None:
    assert version_in(text) == version
