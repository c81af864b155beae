"""The parts of the rules F7 and F13 of docs/launcher.md on bind mounts of the driver's devices.

A program that opens such a mount gets the node's device without nvproxy: the sandbox passes on no
ioctl, whatever the path, and the path alone names the device that nvproxy itself opens.
gVisor release-20260622.0: openSpecialFile in pkg/sentry/fsimpl/gofer, createDeviceFiles in
runsc/boot/vfs.go, and SetupDev in runsc/cmd/sandboxsetup/gofer_mount.go.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from worker_images.node.lint import view
from worker_images.node.lint.finding import Problems, error, warning
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.node import CONTROL, MEMORY

SERVED = re.compile(rf"/dev/({CONTROL}|{MEMORY}|nvidia[0-9]+)")
FAILS = "which programs open without nvproxy: every call of the driver fails"
STEP = "remove the mount, and write the device into linux.devices"


def hiding(request: LaunchRequest) -> Problems:
    """Yield mounts in the place of devices that nvproxy serves."""
    serves = any(SERVED.fullmatch(device["path"]) for _, device in request.devices)
    for index, mount in request.mounts:
        where, destination = f"mounts[{index}]", clean(mount["destination"])
        options = {*(mount.get("options") or ())}
        if SERVED.fullmatch(destination):
            yield error(where, f"{mount['destination']} is a bind mount, {FAILS}", STEP)
        elif destination != "/dev" or not serves:
            continue
        elif "nodev" in options:
            yield error(
                where,
                "/dev is a bind mount with nodev, in which runsc cannot open the devices of"
                " linux.devices: it ends with EOF",
                "remove the mount: runsc makes /dev itself",
            )
        elif "ro" in options or not view.has_mount_overlays(request):
            yield error(
                where,
                f"/dev is a bind mount, and hides linux.devices by nodes {FAILS}",
                "remove the mount: runsc makes /dev itself",
            )


def opening(request: LaunchRequest) -> Problems:
    """Yield mounts with nodes of GPUs: in /dev, nvproxy opens those, too."""
    for index, mount in request.mounts:
        where, source = f"mounts[{index}]", request.source(mount)
        destination = clean(mount["destination"])
        named = f"{mount.get('source', '')} at {mount['destination']}"
        if "nodev" in (mount.get("options") or ()) or SERVED.fullmatch(destination):
            continue
        if destination == "/dev":
            yield warning(
                where,
                f"{named} lets a program with CAP_MKNOD open every GPU in it",
                "mount only the folders that programs need, with nodev; runsc makes the devices of"
                " linux.devices",
            )
        elif _holds_gpus(source):
            yield warning(
                where,
                f"{named} has nodes of GPUs, {FAILS}",
                "mount only the folders that programs need, with nodev; runsc makes the devices of"
                " linux.devices",
            )
        elif _is_device(request, source):
            yield warning(where, f"{named} is a device of the driver, {FAILS}", STEP)


def clean(path: str) -> str:
    """Return a destination without parts that do not change it."""
    return os.path.normpath(f"/{path.lstrip('/')}")


def _holds_gpus(source: Path) -> bool:
    """Report if a folder is a root or a /dev with the driver's nodes."""
    return os.path.realpath(source) in ("/", "/dev") or any(
        True for folder in (source, source / "dev") for _ in nodes(folder)
    )


def _is_device(request: LaunchRequest, source: Path) -> bool:
    """Report if a file is a device of the driver: by its numbers, or its name if it is missing."""
    try:
        status = source.stat()
    except OSError:
        return bool(SERVED.fullmatch(str(source)))
    numbers = (os.major(status.st_rdev), os.minor(status.st_rdev))
    served = {(device.major, device.minor) for device in request.node.devices}
    return stat.S_ISCHR(status.st_mode) and numbers in served


def nodes(folder: Path) -> Iterator[Path]:
    """Yield the driver's device nodes in a folder; links are not followed."""
    inside = () if folder.is_symlink() else (*folder.glob("nvidia*"), *folder.glob("nvidia*/*"))
    for path in inside:
        mode = path.lstat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            yield path
