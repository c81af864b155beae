"""Does the pod have the devices of its GPUs, and no others?"""

import pytest

from worker_images.harness.options import Seen, not_run
from worker_images.node.pod import devices
from worker_images.node.pod.request import Request


def test_devices_have_the_driver_numbers(device_text: str, seen: Seen, *, stand_in: bool) -> None:
    """nvidiactl, nvidia-uvm and every nvidiaN are devices with the numbers of the kernel."""
    found = devices.numbers(device_text, stand_in=stand_in)
    seen(found.seen)
    assert not found.problem, found.problem


def test_devices_open(device_text: str, seen: Seen, *, stand_in: bool) -> None:
    """Opening shows what a listing cannot: the device cgroup permits it, and a driver responds."""
    found = devices.opening(device_text, stand_in=stand_in)
    seen(found.seen)
    assert not found.problem, found.problem


def test_gpu_count_matches_the_limit(
    device_text: str, gpu_request: Request, seen: Seen, pytestconfig: pytest.Config
) -> None:
    """More devices than the limit expose other users' GPUs."""
    if gpu_request.claims and not gpu_request.count:
        not_run(pytestconfig, "pod", "a resource claim (DRA) does not name a number of GPUs")
    found = devices.count(device_text, gpu_request)
    seen(found.seen)
    assert not found.problem, found.problem
