"""Debian packages: output of apt, and archives."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from worker_images.errors import EngineError, FetchError
from worker_images.fetch import access, apt
from worker_images.files import ROOT
from worker_images.model import pins
from worker_images.model.lock import Package


def test_package_is_read_from_output_of_apt() -> None:
    line = (
        "'http://m/p/libssl3t64_3.5.7-1%7edeb13u3_amd64.deb' libssl3t64_3.5.7-1~deb13u3_amd64.deb"
        f" 17 SHA256:{'a' * 64}"
    )
    match = apt.ADDRESS.search(line)
    assert match
    assert apt.package_of(match) == Package(
        "libssl3t64",
        "3.5.7-1~deb13u3",
        "http://m/p/libssl3t64_3.5.7-1%7edeb13u3_amd64.deb",
        17,
        "a" * 64,
    )


def test_package_is_unpacked_below_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The temporary folder is too small on many machines."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example>\nDescription: x\n"
    )
    (tree / "DEBIAN").chmod(0o755)
    package = tmp_path / "x.deb"
    subprocess.run(
        ["dpkg-deb", "--build", str(tree), str(package)], check=True, capture_output=True
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with apt.members(package, "--ctrl-tarfile") as tar:
        assert "./control" in tar.getnames()


NOW = "this machine's clock shows 2026-11-26 12:00 UTC"
ERRORS = {
    "E: Unable to locate package tinni": (
        "correct the package's name, or debian.suite in versions.yaml"
    ),
    "E: Error writing to file - write (28: No space left on device)": (
        "free some space in the cache, or set XDG_CACHE_HOME"
    ),
    "E: The repository 'http://m InRelease' is not signed.": (
        "check the clock, debian-archive-keyring and debian.mirror in versions.yaml"
    ),
    "E: Failed to fetch http://m/InRelease  Could not connect to m:80": (
        "check debian.mirror in versions.yaml and the network"
    ),
    "E: Release file for http://m/InRelease is not valid yet (invalid for another 3h).": (
        f"{NOW}, which is behind the mirror's; set it"
    ),
    "E: Release file for http://m/InRelease is expired (invalid since 3d 4h).": (
        f"{NOW}; if that is right, the mirror no longer gets updates: use another, or a snapshot,"
        " whose address has its time"
    ),
    "E: Failed to fetch http://m/Packages.xz  File has unexpected size (1 != 2). Mirror sync in"
    " progress?": "the mirror is being updated; run again in a few minutes, or use another mirror",
    "E: Failed to fetch http://m/InRelease  401  Unauthorized [IP: 192.0.2.1 80]": (
        "the mirror needs a login: add it to ~/.netrc or to /etc/apt/auth.conf.d"
    ),
}


@pytest.mark.parametrize("error", ERRORS)
def test_next_step_depends_on_the_error_of_apt(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apt-get").write_text(f'#!/bin/sh\necho "{error}" >&2\nexit 100\n')
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(apt, "KEYRING", tmp_path)
    monkeypatch.setattr(access, "clock", lambda: NOW)
    pin = pins.load(ROOT / "versions.yaml")[0].debian
    with pytest.raises(FetchError) as caught:
        apt.resolve(pin, {"base": ["tini"]})
    assert (
        str(caught.value) == f"resolving Debian packages: apt-get update: {error}; {ERRORS[error]}"
    )


def test_broken_deb_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(b"not a deb")
    with (
        pytest.raises(EngineError, match=r"reading .*x\.deb: .*delete it"),
        apt.members(path, "--fsys-tarfile") as tar,
    ):
        list(tar)


@pytest.mark.parametrize(
    ("version", "other_version", "later"),
    [
        ("1.10-1", "1.9-1", True),
        ("1:1", "2", True),
        ("1~rc1", "1", False),
        ("1", "1", False),
        ("1+deb13u1", "1", True),
    ],
)
def test_versions_are_compared_as_debian_does(
    version: str,
    other_version: str,
    later: bool,
) -> None:
    assert apt.is_later(version, other_version) is later
