"""The driver's files and devices are found on a node."""

import json
import os
from pathlib import Path

import pytest

from tests.support.drivers import OPEN
from tests.support.nodes import files, program
from worker_images.node import node
from worker_images.node.node import Node
from worker_images.node.stand_in import DRIVER

# A driver version that no real machine has.
FAKE_DRIVER = "1.2.3"


CACHE = """2 libs found in cache `/etc/ld.so.cache'
\tlibcuda.so.1 (libc6,x86-64) => {0}/libcuda.so.1
\tlibcuda.so.1 (libc6) => {0}/32/libcuda.so.1
\tlibcudart.so.13 (libc6,x86-64) => {0}/libcudart.so.13
\tlibnvidia-ml.so.1 (libc6,x86-64) => {0}/libnvidia-ml.so.1
"""


def tree(root: Path, folder: str, driver: str = DRIVER) -> Path:
    """Create a node's root with an open driver, and its files in a folder of a device plugin."""
    files(root / "proc/driver/nvidia", "version")
    (root / "proc/driver/nvidia/version").write_text(OPEN.format(DRIVER))
    files(
        root / folder,
        f"libcuda.so.{driver}",
        f"libnvidia-ml.so.{driver}",
        f"libGLX_nvidia.so.{driver}",
        "libcuda.so.535.129.03",
    )
    (root / folder / "libcuda.so.1").symlink_to(f"libcuda.so.{driver}")
    files((root / folder).parent / "bin", "nvidia-smi", "nvidia-persistenced")
    return root


@pytest.mark.parametrize("folder", node.DRIVER_FOLDERS)
def test_driver_files_are_found_in_a_known_folder(folder: str, tmp_path: Path) -> None:
    found = node.read(tree(tmp_path, folder))
    assert (found.driver, found.source, found.devices) == (DRIVER, f"/{folder}", ())
    assert [path.name for path in found.libraries] == [
        f"libcuda.so.{DRIVER}",
        f"libnvidia-ml.so.{DRIVER}",
    ]
    assert [path.name for path in found.programs] == ["nvidia-smi"]


def test_libraries_of_another_version_are_ignored(tmp_path: Path) -> None:
    found = node.read(tree(tmp_path, node.DRIVER_FOLDERS[0], "570.124.06"))
    assert (found.driver, found.source, found.libraries, found.programs) == (DRIVER, "", (), ())


def test_node_without_a_driver_is_empty(tmp_path: Path) -> None:
    assert node.read(tmp_path) == Node("", (), (), (), "")


def test_devices_are_those_of_nvproxy_ordered_by_number(tmp_path: Path) -> None:
    """Links to /dev/null replace the device nodes, which only root can create."""
    for name in (
        "nvidia10",
        "nvidia2",
        "nvidia-uvm",
        "nvidia-uvm-tools",
        "nvidia-modeset",
        "nvidiactl",
    ):
        (tmp_path / name).symlink_to("/dev/null")
    files(tmp_path, "nvidia0", "nvidia1.bak")
    found = tuple(node.devices(tmp_path))
    assert [device.name for device in found] == ["nvidiactl", "nvidia-uvm", "nvidia2", "nvidia10"]
    assert {(device.major, device.minor) for device in found} == {(1, 3)}
    assert [device.name for device in Node("", found, (), (), "").gpus] == ["nvidia2", "nvidia10"]


@pytest.fixture
def this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine with a fake driver, its files in a folder, and fake programs on PATH."""
    monkeypatch.setattr(node, "driver", lambda _: FAKE_DRIVER)
    monkeypatch.setenv("PATH", f"{tmp_path}/programs:{os.environ['PATH']}")
    program(tmp_path / "programs", "ldconfig", "")
    program(tmp_path / "programs", "nvidia-ctk", "")
    for folder in (tmp_path / "lib", tmp_path / "lib/32"):
        files(
            folder, f"libcuda.so.{FAKE_DRIVER}", f"libnvidia-ml.so.{FAKE_DRIVER}", "libcudart.so.13"
        )
        for name in ("libcuda", "libnvidia-ml"):
            (folder / f"{name}.so.1").symlink_to(f"{name}.so.{FAKE_DRIVER}")
    return tmp_path


def test_libraries_are_found_in_the_loader_cache(
    this_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links are followed, and 32-bit libraries are ignored."""
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "", "", "", "x86_64")))
    program(this_machine / "programs", "ldconfig", CACHE.format(this_machine / "lib"))
    found = node.read()
    assert found.source == "the loader's cache"
    assert found.libraries == tuple(
        this_machine / "lib" / f"{name}.so.{FAKE_DRIVER}" for name in ("libcuda", "libnvidia-ml")
    )


def test_libraries_are_found_by_the_node_toolkit(this_machine: Path) -> None:
    mounts = [
        {"hostPath": str(this_machine / "lib" / name)}
        for name in (f"libcuda.so.{FAKE_DRIVER}", "libcudart.so.13")
    ]
    program(
        this_machine / "programs", "nvidia-ctk", json.dumps({"containerEdits": {"mounts": mounts}})
    )
    found = node.read()
    assert (found.source, found.libraries) == (
        "nvidia-ctk cdi generate",
        (this_machine / "lib" / f"libcuda.so.{FAKE_DRIVER}",),
    )


def test_failing_programs_are_ignored(this_machine: Path) -> None:
    for name in ("ldconfig", "nvidia-ctk"):
        (this_machine / "programs" / name).write_text("#!/bin/sh\necho '{'\nexit 1\n")
    assert node.read().libraries == ()
