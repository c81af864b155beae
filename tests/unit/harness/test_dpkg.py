"""Packages that no other package needs, and dependencies that no package meets."""

from pathlib import Path

import pytest

from tests.support.archives import write
from tests.support.members import file, layer
from worker_images.harness import dpkg
from worker_images.harness.dpkg import Installed
from worker_images.model.oci import archive
from worker_images.model.oci.image import ImageError


@pytest.mark.parametrize(
    ("wanted", "unneeded"),
    [
        (["a"], {"d"}),
        (["a", "d"], set()),
        (["c"], {"a", "b", "d"}),
        ([], {"a", "b", "c", "d", "e"}),
    ],
)
def test_package_that_no_requested_one_needs_is_unneeded(
    wanted: list[str], unneeded: set[str]
) -> None:
    """a depends on b and on something that c provides; c depends on e."""
    packages = {
        "a": Installed("1", (("b",), ("virtual",)), ()),
        "b": Installed("1", (), ()),
        "c": Installed("1", (("e",),), ("virtual",)),
        "d": Installed("1", (), ()),
        "e": Installed("1", (), ()),
    }
    assert dpkg.unneeded(packages, wanted) == unneeded


@pytest.mark.parametrize(
    ("dependency", "unmet"),
    [
        (("b",), set()),
        (("virtual",), set()),
        (("gone", "b"), set()),
        (("gone",), {"gone"}),
        (("gone", "lost"), {"gone"}),
    ],
)
def test_dependency_that_no_package_meets_is_unmet(
    dependency: tuple[str, ...], unmet: set[str]
) -> None:
    packages = {
        "a": Installed("1", (("b",), dependency), ()),
        "b": Installed("1", (), ("virtual",)),
    }
    assert dpkg.unmet(packages) == unmet


def recorded(text: bytes, folder: Path) -> dict[str, Installed]:
    """What an image with this record of dpkg holds."""
    path = write(folder / "image.tar", [layer([file("var/lib/dpkg/status", text)])])
    return dpkg.recorded(archive.load(path, folder))


def test_record_that_is_not_ascii_is_read(tmp_path: Path) -> None:
    text = b"Package: jq\nStatus: install ok installed\nVersion: 1\nDepends: \xff, libc6\n"
    assert recorded(text, tmp_path) == {"jq": Installed("1", (("libc6",),), ())}


def test_large_record_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dpkg, "MAX_BYTES", 10)
    with pytest.raises(ImageError, match="11 bytes, at most 10 are read"):
        recorded(b"Package: jq", tmp_path)
