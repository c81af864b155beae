"""The driver's devices in a pod: each fault has its own sentence."""

import pytest

from worker_images.node.pod import devices
from worker_images.node.pod.request import Request

GOOD = """/dev/nvidiactl is character special file c3:ff
/dev/nvidiactl opens
/dev/nvidia-uvm is character special file 1fe:0
/dev/nvidia-uvm opens
/dev/nvidia0 is character special file c3:0
/dev/nvidia0 opens
195 nvidia
510 nvidia-uvm
"""
ONE = Request("nvidia.com/gpu", 1)
WITHOUT_MODULE = GOOD.replace("510 nvidia-uvm\n", "")


def test_valid_devices_pass() -> None:
    found = devices.numbers(GOOD)
    assert (found.seen, found.problem) == (
        "nvidiactl 195:255, nvidia-uvm 510:0, nvidia0 195:0",
        "",
    )
    assert devices.opening(GOOD).problem == devices.count(GOOD, ONE).problem == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "missing devices: nvidiactl, nvidia-uvm, nvidiaN; give the pod runtimeClassName"),
        (GOOD.replace("nvidiactl", "nvidia1"), "missing devices: nvidiactl;"),
        (
            GOOD.replace("ctl is character special file c3:ff", "ctl is regular empty file 0:0"),
            "nvidiactl is a regular empty file, not a device; remove it",
        ),
        (
            GOOD.replace("nvidia0 is character special file", "nvidia0 is directory"),
            "nvidia0 is a directory, not a device",
        ),
        (GOOD.replace("c3:0", "c3:1"), "nvidia0 is 195:1, expected 195:0; correct the node's CDI"),
        (
            GOOD.replace("1fe:0", "1fe:1"),
            "nvidia-uvm is 510:1, expected 510:0 (minor 1 is nvidia-uvm-tools",
        ),
        (GOOD.replace("1fe:0", "0:0"), "nvidia-uvm is 0:0, expected 510:0"),
        (WITHOUT_MODULE, "the kernel has no nvidia-uvm in /proc/devices; load the driver's"),
    ],
)
def test_wrong_device_is_named(text: str, problem: str) -> None:
    assert devices.numbers(text).problem.startswith(problem)


def test_stand_in_of_uvm_needs_only_the_minor_number() -> None:
    assert devices.numbers(WITHOUT_MODULE, stand_in=True).problem == ""
    wrong = devices.numbers(WITHOUT_MODULE.replace("1fe:0", "1fe:1"), stand_in=True)
    assert wrong.problem.startswith("nvidia-uvm is 510:1, expected 510:0")


def refusing(error: str) -> str:
    return GOOD.replace(" opens", f" refuses: {error}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no device to open"),
        (refusing("Operation not permitted"), "nvidiactl, nvidia-uvm, nvidia0: Operation not per"),
        (refusing("Operation not permitted"), "device cgroup"),
        (refusing("Permission denied"), "run the worker as root"),
        (refusing("No such device or address"), "nvidia-modprobe -u -c 0"),
        (refusing("Input/output error"), "Input/output error"),
    ],
)
def test_device_that_does_not_open_is_named(text: str, problem: str) -> None:
    assert problem in devices.opening(text).problem


def test_stand_ins_have_no_driver_behind_them() -> None:
    assert devices.opening(refusing(devices.NO_DRIVER), stand_in=True).problem == ""
    blocked = devices.opening(refusing("Operation not permitted"), stand_in=True)
    assert "device cgroup" in blocked.problem
    assert "remove --stand-in" in devices.opening(GOOD, stand_in=True).problem


TWO = GOOD + "/dev/nvidia1 is character special file c3:1\n/dev/nvidia1 opens\n"


@pytest.mark.parametrize(
    ("text", "request_", "problem"),
    [
        (
            GOOD,
            Request("nvidia.com/gpu", 2),
            (
                "fewer GPUs than requested: 1 in /dev; the limit is nvidia.com/gpu: 2: on a node"
                " that shares GPUs by time, the limit counts shares, and several may be of one GPU;"
                " set the limit to 1"
            ),
        ),
        ("", ONE, "a GPU is missing: 0 in /dev"),
        ("", Request("nvidia.com/gpu.shared", 1), "a GPU is missing"),
        (TWO, ONE, "more GPUs than requested: 2 in /dev; the limit is nvidia.com/gpu: 1"),
        (TWO, Request("nvidia.com/gpu.shared", 1), "more GPUs than requested"),
        (GOOD, Request("nvidia.com/gpu.shared", 2), ""),
        (TWO, Request("nvidia.com/gpu", 2), ""),
    ],
)
def test_gpus_are_as_many_as_the_limit(text: str, request_: Request, problem: str) -> None:
    found = devices.count(text, request_).problem
    assert found.startswith(problem)
    assert bool(found) == bool(problem)
