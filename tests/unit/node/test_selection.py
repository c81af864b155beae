"""GPUs are selected as nvidia-smi numbers them, by UUID, or by minor number."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import trees
from tests.support.nodes import DEVICES, program
from worker_images.node import cards, mig, selection, spec
from worker_images.node.cards import Card
from worker_images.node.node import Device, Node
from worker_images.node.selection import SpecError

UUIDS = [f"GPU-{number}fdaf0a5-179b-f636-d15d-daf243e3ff16" for number in range(6)]
# In the order of the PCI bus, which is that of nvidia-smi; minor numbers follow the driver's start.
MINORS = {"0000:0a:00.0": 4, "0000:17:00.0": 0, "0001:03:00.0": 1, "000a:01:00.0": 2}
CONTROLS = (Device("/dev/nvidiactl", 195, 255), Device("/dev/nvidia-uvm", 511, 0))


def gpu_devices(*minors: int) -> tuple[Device, ...]:
    return tuple(Device(f"/dev/nvidia{minor}", 195, minor) for minor in minors)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What the driver says of four GPUs, and of one that is excluded."""
    for (address, minor), uuid in zip(MINORS.items(), UUIDS, strict=False):
        trees.gpu(tmp_path, address, minor, uuid)
    trees.gpu(tmp_path, "0000:09:00.0", 3, UUIDS[4], **{"GPU Excluded": "Yes"})
    return tmp_path


@pytest.fixture
def four(tree: Path) -> Node:
    """A node with the GPUs of the tree, of which the excluded one also has a device."""
    return Node("", (*CONTROLS, *gpu_devices(0, 1, 2, 3, 4)), (), (), "", cards=cards.read(tree))


def minors(node: Node, request: str) -> list[int]:
    return [gpu.device.minor for gpu in selection.selected(node, request)]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("all", [4, 0, 1, 2]),
        ("none", []),
        ("0", [4]),
        ("1,2", [0, 1]),
        (" 3 , 0 ", [4, 2]),
        ("minor:4", [4]),
        ("minor:0,0", [4, 0]),
        (UUIDS[0], [4]),
        (UUIDS[2].upper(), [1]),
        ("GPU-1fda", [0]),
        (f"0,minor:4,{UUIDS[0]}", [4]),
    ],
)
def test_gpus_are_selected_in_each_form(request_: str, expected: list[int], four: Node) -> None:
    """An index is that of nvidia-smi; a GPU that is named twice is one."""
    assert minors(four, request_) == expected


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        ("4", "no GPU 4: this node has 0: /dev/nvidia4, 0000:0a:00.0, GPU-0fda"),
        ("minor:7", "no GPU minor:7: this node has 0: /dev/nvidia4"),
        ("minor:3", "GPU minor:3 (0000:09:00.0, GPU-4fda"),
        ("minor:3", "is excluded from use by the driver's parameter NVreg_ExcludedGpus"),
        (UUIDS[4], "is excluded from use by the driver's parameter"),
        (UUIDS[5], f"no GPU {UUIDS[5]}: this node has 0: "),
        ("GPU-", "no GPU GPU-; name an index"),
        ("", "no GPU without a name; name an index of nvidia-smi such as 0, a UUID"),
        ("0,,1", "no GPU without a name"),
        ("-1", "no GPU -1; name"),
        ("nvidia0", "no GPU nvidia0; name"),
        ("0000:17:00.0", "no GPU 0000:17:00.0; name"),
        ("\u0663", "no GPU \u0663; name"),
        ("MIG-feb88891-0321-5fef-9c87-d4af3b54259e", "is a part of a GPU (MIG), which nvproxy"),
        (f"MIG-{UUIDS[0]}/1/0", "is a part of a GPU (MIG)"),
        ("0:1", "0:1 is a part of a GPU (MIG)"),
    ],
)
def test_gpu_that_a_sandbox_cannot_use_is_refused(request_: str, problem: str, four: Node) -> None:
    with pytest.raises(SpecError) as raised:
        selection.selected(four, request_)
    assert problem in str(raised.value)


def test_beginning_of_two_uuids_is_refused(four: Node) -> None:
    same = tuple(replace(card, uuid=f"GPU-7{card.uuid[5:]}") for card in four.cards)
    with pytest.raises(SpecError, match="GPU-7 is the beginning of 4 UUIDs: 0: /dev/nvidia4"):
        selection.selected(replace(four, cards=same), "GPU-7")


def test_index_counts_only_gpus_of_this_container(four: Node) -> None:
    """/proc lists all GPUs of the node, but nvidia-smi counts those that it can open."""
    pod = replace(four, devices=(*CONTROLS, *gpu_devices(1, 2)))
    assert minors(pod, "0") == [1]
    assert minors(pod, "all") == [1, 2]
    with pytest.raises(SpecError, match=r"no /dev/nvidia4 for GPU minor:4 \(0000:0a:00.0, GPU-0"):
        selection.selected(pod, "minor:4")


def test_device_without_a_gpu_of_the_driver_is_not_counted(four: Node) -> None:
    """A GPU that is lost leaves its device node."""
    assert minors(replace(four, devices=(*four.devices, *gpu_devices(6))), "all") == [4, 0, 1, 2]


def test_index_counts_devices_if_the_driver_lists_no_gpu() -> None:
    stand_ins = Node("", DEVICES, (), (), "")
    assert minors(stand_ins, "2") == [10]
    assert [gpu.name for gpu in selection.gpus(stand_ins)] == ["0", "1", "2"]
    with pytest.raises(SpecError, match="no GPU 10: this node has 0: /dev/nvidia0; 1: "):
        selection.selected(stand_ins, "10")


def test_uuid_before_the_driver_has_initialized_the_gpu(tmp_path: Path) -> None:
    trees.gpu(tmp_path, "0000:17:00.0", 0, "GPU-????????-????-????-????-????????????")
    found = Node("", gpu_devices(0), (), (), "", cards=cards.read(tmp_path))
    assert [gpu.name for gpu in selection.gpus(found)] == ["0"]
    with pytest.raises(SpecError, match="the driver does not know all UUIDs yet: run nvidia-smi"):
        selection.selected(found, UUIDS[0])


def test_divided_gpu_is_refused_and_others_are_not(tree: Path) -> None:
    """The driver has a folder for each instance of a GPU in MIG mode."""
    trees.write(tree / "proc/driver/nvidia/capabilities/gpu4/mig/gi9/access", b"DeviceFileMinor: 1")
    trees.write(tree / "proc/driver/nvidia/capabilities/gpu0/mig/config", b"DeviceFileMinor: 2")
    found = Node("", gpu_devices(0, 1, 2, 4), (), (), "", cards=cards.read(tree))
    for request in ("0", "all", UUIDS[0]):
        with pytest.raises(SpecError, match=r"GPU 0: /dev/nvidia4, .* is in MIG mode, which"):
            selection.selected(found, request)
    assert minors(found, "1,2,3") == [0, 1, 2]


@pytest.mark.parametrize(
    ("output", "divided"),
    [
        (f"{UUIDS[1]}, Enabled\n{UUIDS[0]}, Disabled\n", [0]),
        (f"{UUIDS[1]}, [N/A]\n", []),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", []),
    ],
)
def test_mode_without_instances_is_asked_of_nvidia_smi(
    output: str, divided: list[int], four: Node, tmp_path: Path
) -> None:
    program(tmp_path / "bin", "nvidia-smi", output)
    asked = mig.with_mode(replace(four, programs=(tmp_path / "bin/nvidia-smi",)))
    assert [card.minor for card in asked.cards if card.in_mig_mode] == divided


def test_failing_nvidia_smi_is_ignored(four: Node, tmp_path: Path) -> None:
    program(tmp_path / "bin", "nvidia-smi", "")
    (tmp_path / "bin/nvidia-smi").write_text(f"#!/bin/sh\necho {UUIDS[0]}, Enabled\nexit 9\n")
    named = replace(four, programs=(tmp_path / "bin/nvidia-smi",))
    assert mig.with_mode(named) == named
    missing = replace(four, programs=(tmp_path / "none/nvidia-smi",))
    assert mig.with_mode(missing) == missing


def test_reported_index_is_that_of_nvidia_smi(four: Node) -> None:
    """gvisor#9389: index 0 of a node is the GPU of /dev/nvidia4."""
    report = json.loads((trees.LAUNCH / "36-index-is-not-minor.config.json").read_text())
    expected = {(each["path"], each["minor"]) for each in report["linux"]["devices"]}
    found = spec.devices_of(four, spec.select(four, "0"))
    assert {(device.path, device.minor) for device in found} == expected


@pytest.mark.parametrize(
    "text",
    [b"", b"Device Minor: x\n", b"Device Minor: \xd9\xa3\n", b"\xff" * 100, b"Device Minor:\n"],
)
def test_file_of_another_driver_is_passed_over(text: bytes, tmp_path: Path) -> None:
    trees.write(tmp_path / "proc/driver/nvidia/gpus/0000:17:00.0/information", text)
    trees.write(tmp_path / "proc/driver/nvidia/gpus/other/information", b"Device Minor: 1\n")
    assert cards.read(tmp_path) == ()


def test_text_of_a_gpu_is_one_printable_line() -> None:
    card = Card("0000:17:00.0", 0, UUIDS[0], "NVIDIA\x1b[2J H100")
    text = str(selection.Gpu(0, gpu_devices(0)[0], card))
    assert text == f"0: /dev/nvidia0, 0000:17:00.0, {UUIDS[0]}, NVIDIA\\u001b[2J H100"
