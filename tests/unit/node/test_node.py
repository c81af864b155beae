"""The driver's devices are found on a node, and its files by programs of this machine."""

import json
import os
from pathlib import Path

import pytest

from tests.support import trees
from tests.support.nodes import files, program
from worker_images.model.drivers import kernel
from worker_images.model.drivers.kernel import Machine
from worker_images.node import cards, node
from worker_images.node.cards import Card
from worker_images.node.node import Node

# A driver version that no real machine has.
FAKE_DRIVER = "1.2.3"
JETSON = trees.LAUNCH / "05-jetson-540.proc"


CACHE = """2 libs found in cache `/etc/ld.so.cache'
\tlibcuda.so.1 (libc6,x86-64) => {0}/libcuda.so.1
\tlibcuda.so.1 (libc6) => {0}/32/libcuda.so.1
\tlibcudart.so.13 (libc6,x86-64) => {0}/libcudart.so.13
\tlibnvidia-ml.so.1 (libc6,x86-64) => {0}/libnvidia-ml.so.1
"""


def test_node_without_a_driver_is_empty(tmp_path: Path) -> None:
    assert node.read(tmp_path) == Node("", (), (), (), "")


def test_jetson_and_wsl2_are_distinguished(tmp_path: Path) -> None:
    trees.write(tmp_path / "jetson/proc/driver/nvidia/version", JETSON.read_bytes())
    trees.write(tmp_path / "wsl/dev/dxg", b"")
    assert node.read(tmp_path / "jetson").kind == "L4T"
    assert node.read(tmp_path / "wsl").kind == "WSL2"


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
    monkeypatch.setattr(kernel, "read", lambda _: Machine(FAKE_DRIVER, "", "amd64"))
    monkeypatch.setattr(cards, "read", lambda _: ())
    monkeypatch.setenv("PATH", f"{tmp_path}/programs:{os.environ['PATH']}")
    program(tmp_path / "programs", "ldconfig", "")
    program(tmp_path / "programs", "nvidia-ctk", "")
    for name in ("libcuda", "libnvidia-ml"):
        file = tmp_path / "lib" / f"{name}.so.{FAKE_DRIVER}"
        trees.write(file, trees.content(file.name, 62))
        (tmp_path / "lib" / f"{name}.so.1").symlink_to(file.name)
    small = tmp_path / "lib/32" / f"libcuda.so.{FAKE_DRIVER}"
    trees.write(small, b"\x7fELF\x01\x01\x01" + bytes(50))
    (tmp_path / "lib/32/libcuda.so.1").symlink_to(small.name)
    files(tmp_path / "lib", "libcudart.so.13")
    return tmp_path


def test_libraries_are_found_in_the_loader_cache(this_machine: Path) -> None:
    """Links are followed, and 32-bit libraries are ignored."""
    if not Path("/etc/ld.so.cache").is_file():
        pytest.skip("not run: this machine's loader has no cache")
    program(this_machine / "programs", "ldconfig", CACHE.format(this_machine / "lib"))
    found = node.read()
    assert found.source == "the loader's cache"
    assert found.libraries == tuple(
        this_machine / "lib" / f"{name}.so.{FAKE_DRIVER}" for name in ("libcuda", "libnvidia-ml")
    )


def test_libraries_are_found_by_the_node_toolkit(this_machine: Path) -> None:
    mounts = [
        {"hostPath": str(this_machine / "lib" / name)}
        for name in (f"libcuda.so.{FAKE_DRIVER}", "libcudart.so.13", "none")
    ]
    program(
        this_machine / "programs", "nvidia-ctk", json.dumps({"containerEdits": {"mounts": mounts}})
    )
    found = node.read()
    assert (found.source, found.libraries) == (
        "nvidia-ctk cdi generate",
        (this_machine / "lib" / f"libcuda.so.{FAKE_DRIVER}",),
    )


def test_toolkit_of_this_machine_is_not_asked_for_another_root(this_machine: Path) -> None:
    mounts = [{"hostPath": str(this_machine / "lib" / f"libcuda.so.{FAKE_DRIVER}")}]
    found = json.dumps({"containerEdits": {"mounts": mounts}})
    program(this_machine / "programs", "nvidia-ctk", found)
    assert node.read().libraries
    assert node.read(driver_root=this_machine / "programs").libraries == ()


@pytest.mark.parametrize("text", ["{", "[]", '{"containerEdits": {"mounts": [1]}}', "null"])
def test_output_of_another_toolkit_is_ignored(text: str, this_machine: Path) -> None:
    program(this_machine / "programs", "nvidia-ctk", text)
    assert node.read().libraries == ()


def test_failing_programs_are_ignored(this_machine: Path) -> None:
    for name in ("ldconfig", "nvidia-ctk"):
        (this_machine / "programs" / name).write_text("#!/bin/sh\necho '{'\nexit 1\n")
    assert node.read().libraries == ()


def test_machine_is_the_models_and_the_driver() -> None:
    """Results and releases name it."""
    cards = tuple(Card(f"0000:0{minor}:00.0", minor, model="NVIDIA H100") for minor in range(2))
    found = Node("580.159.04", (), (), (), "a test", cards=cards)
    assert found.machine == "2 NVIDIA H100, driver 580.159.04"
    assert Node("", (), (), (), "a test").machine == ""
