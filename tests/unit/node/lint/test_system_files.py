"""The linter knows the files of the sandbox's own /proc and /sys, where runsc creates none.

Each of these was tried with runsc release-20260622.0.
"""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.launchers import answers
from tests.support.specifications import Change, add_mount, changed
from worker_images.node.lint.lint import findings
from worker_images.node.lint.request import LaunchRequest

# Those that LXCFS mounts, then others.
THERE = (
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/uptime", "/proc/loadavg"),
    *("/proc/version", "/proc/cmdline", "/proc/sys/kernel/hostname", "/proc/../proc/cpuinfo"),
    *("/proc/sys/kernel/random/boot_id", "/proc/sys/vm/overcommit_memory"),
    *("/sys/devices/system/cpu/online", "/sys/devices/virtual/dmi/id/product_name"),
    *("/proc/sys/net/ipv4/ip_forward", "/proc-of/x", "/system/x"),
)
MISSING = (
    *("/proc/diskstats", "/proc/swaps", "/proc/slabinfo", "/proc/pressure/cpu", "/proc/new"),
    *("/proc/interrupts", "/proc/1/status", "/proc/self/mountinfo", "/proc/sys/fs/file-max"),
    *("/proc/driver/nvidia/version", "/proc/driver/nvidia/gpus/0000:01:00.0/information"),
    *("/sys/devices/virtual/dmi/id/product_uuid", "/sys/new", "/sys/kernel/mm/ksm/run"),
)


@pytest.mark.parametrize("path", THERE)
def test_file_of_the_sandbox_takes_a_mount(path: str, valid: LaunchRequest) -> None:
    assert answers(changed(valid, add_mount("/etc/passwd", destination=path))) == []


@pytest.mark.parametrize("path", MISSING)
def test_file_that_the_sandbox_does_not_have_takes_no_mount(
    path: str, valid: LaunchRequest
) -> None:
    (found,) = findings(changed(valid, add_mount("/etc/passwd", destination=path)))
    assert (found.rule, found.severity) == ("F14", "error")
    assert f"has no {path}, and runsc cannot create a file in it" in found.problem
    assert answers(changed(valid, add_mount("/usr", destination=path))) == []


def test_file_that_a_flag_adds_takes_a_mount(valid: LaunchRequest) -> None:
    request = changed(valid, add_mount("/etc/passwd", destination="/proc/swaps"))
    assert answers(replace(request, flags=("--override-procs=diskstats,swaps",))) == []


@pytest.mark.parametrize(
    "above",
    [
        {"destination": "/proc/driver", "type": "tmpfs"},
        {"destination": "/proc/driver/nvidia", "type": "bind", "source": "/usr"},
        {"destination": "/proc", "type": "bind", "source": "/usr"},
    ],
)
def test_file_in_another_mount_below_proc_takes_a_mount(
    above: dict[str, Any], valid: LaunchRequest
) -> None:
    mount = add_mount("/etc/passwd", destination="/proc/driver/nvidia/version")
    request = changed(valid, lambda each: each["mounts"].append(above))
    assert answers(changed(request, mount)) == []


PARAMETERS = add_mount("/etc/passwd", destination="/proc/driver/nvidia/params")


def without_devices(**annotations: str) -> Change:
    return lambda each: each.update(
        linux={}, annotations={name.replace("_", "."): text for name, text in annotations.items()}
    )


POD = {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.sandbox-id": "x",
}
# A change of the container, flags, and the findings.
NVPROXY: tuple[tuple[Change, tuple[str, ...], list[str]], ...] = (
    (lambda _: None, (), []),
    (without_devices(), (), ["F14 error"]),
    (without_devices(), ("--nvproxy",), []),
    (without_devices(), ("--nvproxy=false",), ["F14 error"]),
    (without_devices(dev_gvisor_internal_nvproxy="true"), (), []),
    (without_devices(**POD), (), ["F14 warning"]),
    (without_devices(**POD), ("--nvproxy",), []),
)


@pytest.mark.parametrize(("change", "flags", "expected"), NVPROXY)
def test_file_of_nvproxy_is_there_only_with_nvproxy(
    change: Change, flags: tuple[str, ...], expected: list[str], valid: LaunchRequest
) -> None:
    request = replace(changed(changed(valid, PARAMETERS), change), flags=flags)
    assert [each for each in answers(request) if not each.startswith("F10")] == expected
