"""Fixtures: GPU nodes made of stand-ins."""

from pathlib import Path

import pytest

from tests.support import stand_in
from tests.support.nodes import DEVICES, files
from tests.support.stand_in import DRIVER
from worker_images.node import node
from worker_images.node.node import Node


@pytest.fixture
def gpus(tmp_path: Path) -> Node:
    """A node with three GPUs, two libraries, of which one has a SONAME, and a program."""
    files(tmp_path / "files", f"libcuda.so.{DRIVER}", f"libnvidia-ml.so.{DRIVER}", "nvidia-smi")
    (tmp_path / "files" / f"libcuda.so.{DRIVER}").write_bytes(stand_in.elf_library("libcuda.so.1"))
    libraries = tuple(
        tmp_path / "files" / f"{name}.so.{DRIVER}" for name in ("libcuda", "libnvidia-ml")
    )
    return Node(DRIVER, DEVICES, libraries, (tmp_path / "files/nvidia-smi",), "a test")


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """This machine, faked with two GPUs."""
    library = tmp_path / f"libcuda.so.{DRIVER}"
    library.write_bytes(stand_in.elf_library("libcuda.so.1"))
    this_node = Node(DRIVER, DEVICES[:4], (library,), (), "the loader's cache")
    monkeypatch.setattr(node, "read", lambda: this_node)
    (tmp_path / "rootfs").mkdir()
    return this_node
