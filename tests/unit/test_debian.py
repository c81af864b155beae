"""Debian packages: what apt says of them, and what their archives may hold."""

import subprocess
import tempfile
from pathlib import Path

import pytest

from imagebuild import debian
from imagebuild.errors import EngineError


def test_apts_answer_is_read_whole() -> None:
    line = f"'http://m/p/libssl3t64_3.5.7-1%7edeb13u3_amd64.deb' libssl3t64_3.5.7-1~deb13u3_amd64.deb 17 SHA256:{'a' * 64}"
    match = debian.ADDRESS.search(line)
    assert match
    assert debian.package_of(match) == debian.Package(
        "libssl3t64", "3.5.7-1~deb13u3", "http://m/p/libssl3t64_3.5.7-1%7edeb13u3_amd64.deb", 17, "a" * 64
    )


def test_package_is_unpacked_without_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is small on many machines."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text("Package: x\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example>\nDescription: x\n")
    (tree / "DEBIAN").chmod(0o755)
    package = tmp_path / "x.deb"
    subprocess.run(["dpkg-deb", "--build", str(tree), str(package)], check=True, capture_output=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with debian.members(package, "--ctrl-tarfile") as tar:
        assert "./control" in tar.getnames()


def test_a_broken_deb_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(b"not a deb")
    with pytest.raises(EngineError, match=r"reading .*x\.deb: .*delete it"), debian.members(path, "--fsys-tarfile") as tar:
        list(tar)
