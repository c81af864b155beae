"""Fixtures: GPU nodes made of stand-ins, and the request of a bundle."""

from pathlib import Path

import pytest

from tests.support import launchers
from tests.support.nodes import DEVICES, files
from worker_images.node import node, stand_in
from worker_images.node.bundle import bundle
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.node import Node
from worker_images.node.spec import Container
from worker_images.node.stand_in import DRIVER


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
    (tmp_path / "rootfs/bin").mkdir(parents=True)
    return this_node


@pytest.fixture
def valid(tmp_path: Path) -> LaunchRequest:
    """The request of a bundle on a node with two GPUs."""
    library = tmp_path / "files" / f"libcuda.so.{DRIVER}"
    library.parent.mkdir()
    library.write_bytes(stand_in.elf_library("libcuda.so.1"))
    two_gpus = Node(DRIVER, DEVICES[:4], (library,), (), "a test")
    (tmp_path / "rootfs").mkdir()
    return LaunchRequest(
        bundle.write(two_gpus, Container(tmp_path / "rootfs", ("true",), {}), tmp_path / "bundle"),
        two_gpus,
    )


@pytest.fixture(name="node")
def node_with_a_driver(tmp_path: Path) -> Node:
    """A node whose driver is in one folder."""
    library = launchers.libcuda(tmp_path / "driver") / f"libcuda.so.{DRIVER}"
    return Node(DRIVER, launchers.DEVICES, (library,), (), "a test")
