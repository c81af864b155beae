"""The harness reads .debs with a few lines of its own."""

import subprocess
from pathlib import Path

import pytest

from worker_images.errors import EngineError
from worker_images.harness import deb


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A .deb with one file."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: hello\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: b\n"
    )
    (tree / "usr").mkdir()
    (tree / "usr/hello").write_text("hello")
    path = tmp_path / "hello.deb"
    subprocess.run(["dpkg-deb", "--build", str(tree), str(path)], check=True, capture_output=True)
    return path


def test_files_and_control_are_read(package: Path) -> None:
    with deb.open_files(package) as tar:
        assert "./usr/hello" in {info.name for info in tar}
    with deb.open_control(package) as tar:
        assert "./control" in {info.name for info in tar}


@pytest.mark.parametrize("size", [0, 10, 200])
def test_truncated_package_is_an_error(size: int, package: Path) -> None:
    package.write_bytes(package.read_bytes()[:size])
    message = r"reading .*hello\.deb: .*delete it and run again"
    with pytest.raises(EngineError, match=message), deb.open_files(package) as tar:
        list(tar)
