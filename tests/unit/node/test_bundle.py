"""Bundles are written whole or not at all."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.stand_in import DRIVER
from worker_images.node import bundle
from worker_images.node.node import Node
from worker_images.node.spec import Container, SpecError

CONTAINER = Container(Path("/run/rootfs"), ("true",), {})


def test_a_bundle_on_disk(gpus: Node, tmp_path: Path) -> None:
    """Empty files for the driver's to be mounted over, and the names that programs load.

    Writing again changes nothing.
    """
    folder = tmp_path / "bundle"
    made = bundle.write(gpus, CONTAINER, folder)
    assert bundle.write(gpus, CONTAINER, folder) == made
    assert json.loads((folder / "config.json").read_text()) == made
    libraries = folder / "driver/lib64"
    links = {path.name: str(path.readlink()) for path in libraries.iterdir() if path.is_symlink()}
    assert links == {
        "libcuda.so.1": f"libcuda.so.{DRIVER}",
        "libcuda.so": f"libcuda.so.{DRIVER}",
        "libnvidia-ml.so": f"libnvidia-ml.so.{DRIVER}",
    }
    assert {
        path.name: path.stat().st_size for path in libraries.iterdir() if not path.is_symlink()
    } == {path.name: 0 for path in gpus.libraries}
    assert (folder / "driver/bin/nvidia-smi").stat().st_mode & 0o777 & ~0o022 == 0o755 & ~0o022


def test_a_bundle_that_cannot_be_leaves_nothing(gpus: Node, tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        bundle.write(gpus, replace(CONTAINER, gpus="5"), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
