"""The linter knows what a bind mount of a device gives: the node's device, without nvproxy.

The answers were measured with runsc release-20260622.0 on an H100: programs open such a mount, and
each ioctl on it fails with ENOTTY. A mount at /dev/nvidia9 also opens for a device that the
program makes with the numbers 195:9, and for that one nvproxy serves ioctl.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.launchers import answers
from tests.support.specifications import add_mount, changed
from worker_images.node.lint.lint import findings
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.node import Device

# The source, the destination, options, flags, and the findings.
RW, RO, CLOSED = ["rbind"], ["rbind", "ro"], ["rbind", "nodev"]
OVERLAYS = ("--overlay2=all:memory",)
MOUNTS: tuple[tuple[str, str, list[str], tuple[str, ...], list[str]], ...] = (
    ("/dev/null", "/dev/nvidia1", RW, (), ["F7 error"]),
    ("/dev/null", "//dev//nvidia1", RW, (), ["F7 error"]),
    ("/dev/null", "/dev/x/../nvidia1", RW, (), ["F7 error"]),
    ("/dev/null", "/dev/nvidia0", RW, (), ["F7 error"]),
    ("/dev/null", "/dev/nvidiactl", RO, (), ["F7 error"]),
    ("/dev/null", "/dev/nvidia-uvm", CLOSED, (), ["F7 error"]),
    ("/dev/null", "/dev/nvidia-uvm-tools", RW, (), []),
    ("/dev/null", "/null", RW, (), []),
    ("/dev", "/dev", RW, (), ["F7 error", "F13 warning"]),
    ("/dev", "/dev/", RO, (), ["F7 error", "F13 warning"]),
    ("/dev", "/dev", RO, OVERLAYS, ["F7 error", "F13 warning"]),
    ("/dev", "/dev", RW, OVERLAYS, ["F13 warning"]),
    ("/dev", "/dev", CLOSED, (), ["F7 error"]),
    ("/dev", "/host", RO, (), ["F13 warning"]),
    ("/", "/host", RO, (), ["F13 warning"]),
    ("/dev", "/host", CLOSED, (), []),
    ("/", "/host", CLOSED, (), []),
    ("/dev/pts", "/dev/infiniband", RW, (), []),
)


@pytest.mark.parametrize(("source", "destination", "options", "flags", "expected"), MOUNTS)
def test_bind_mount_of_devices_has_the_findings_of_its_destination(
    source: str,
    destination: str,
    options: list[str],
    flags: tuple[str, ...],
    expected: list[str],
    valid: LaunchRequest,
) -> None:
    request = changed(valid, add_mount(source, destination=destination, options=options))
    assert answers(replace(request, flags=flags)) == expected


def test_folder_of_devices_for_a_container_without_a_gpu_is_valid(valid: LaunchRequest) -> None:
    mount = changed(valid, add_mount("/dev", destination="/dev"))
    without = changed(mount, lambda each: each["linux"].update(devices=[]))
    assert answers(without) == ["F10 note"]


@pytest.fixture
def null(valid: LaunchRequest) -> LaunchRequest:
    """A request on a node with a device of the numbers of /dev/null."""
    number = Path("/dev/null").stat().st_rdev
    more = Device("/dev/nvidia2", os.major(number), os.minor(number))
    return replace(valid, node=replace(valid.node, devices=(*valid.node.devices, more)))


def test_device_under_another_name_is_recognised_by_its_numbers(
    null: LaunchRequest, tmp_path: Path
) -> None:
    (tmp_path / "195:2").symlink_to("/dev/null")
    for source in ("/dev/null", f"{tmp_path}/195:2"):
        (found,) = findings(changed(null, add_mount(source)))
        assert (found.rule, found.severity) == ("F13", "warning")
        assert found.problem == (
            f"{source} at /x is a device of the driver, which programs open without nvproxy: every"
            " call of the driver fails"
        )
        assert answers(changed(null, add_mount(source, options=["rbind", "nodev"]))) == []


def test_file_with_the_name_of_a_device_is_not_one(valid: LaunchRequest, tmp_path: Path) -> None:
    (tmp_path / "nvidia0").touch()
    assert answers(changed(valid, add_mount(f"{tmp_path}/nvidia0"))) == []


@pytest.mark.parametrize("folder", ["", "dev/"])
def test_folder_with_a_node_of_a_gpu_is_a_warning(
    folder: str,
    valid: LaunchRequest,
    tmp_path: Path,
    device_node: Callable[[Path], None],
) -> None:
    """As the GPU operator has the node's devices at /run/nvidia/driver/dev."""
    inside = tmp_path / "driver" / folder
    inside.mkdir(parents=True)
    mount = changed(valid, add_mount(f"{tmp_path}/driver", destination="/run/nvidia/driver"))
    (inside / "nvidia-smi").touch()
    assert answers(mount) == []
    device_node(inside / "nvidia1")
    assert answers(mount) == ["F13 warning"]


@pytest.fixture
def device_node(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Create device nodes; without the right to do so, take links for them."""

    def create(path: Path) -> None:
        try:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        except PermissionError:
            path.symlink_to("/")
            monkeypatch.setattr(stat, "S_ISCHR", stat.S_ISLNK)

    return create
