"""The rules F7 and F13 of docs/launcher.md, on device nodes.

gVisor release-20260622.0: runsc/cmd/sandboxsetup/gofer_mount.go, runsc/boot/vfs.go and
pkg/sentry/devices/nvproxy.
"""

import os
from pathlib import Path
from typing import Any

from worker_images.node.driver import capabilities
from worker_images.node.lint import device_access, view
from worker_images.node.lint.finding import Problem, Problems, error, note, warning
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.lint.rules import device_mounts
from worker_images.node.lint.rules.device_mounts import SERVED
from worker_images.node.node import CONTROL, CONTROL_MINOR, FRONTEND_MAJOR, GPU, MEMORY

MIG, IMEX, DISPLAY = "/dev/nvidia-caps/", "/dev/nvidia-caps-imex-channels/", "/dev/dri/"
# nvidia-cap1 and nvidia-cap2 are MIG's configuration and monitor; higher ones are instances, or
# the one of fabric-imex-mgmt.
MIG_CONTROLS = frozenset({f"{MIG}nvidia-cap1", f"{MIG}nvidia-cap2"})
TYPES = {"c": "c", "u": "c", "b": "b", "p": "p"}
# NV_MINOR_DEVICE_NUMBER_REGULAR_MAX: the numbers above are not those of GPUs.
MOST_GPU = 247


def device_numbers(request: LaunchRequest) -> Problems:
    """Devices are complete, exist on the node, open for the process, and have a type and numbers
    that nvproxy serves.
    """
    yield from _absent(request)
    yield from _pod(request)
    devices = (request.specification.get("linux") or {}).get("devices") or []
    instances = mig_instances(request)
    for index, device in enumerate(devices):
        where, path = f"linux.devices[{index}]", device["path"]
        if device.get("type") not in TYPES:
            yield error(
                where,
                f"{path} has the type {device.get('type', '')!r}, which runsc refuses",
                "use the type and numbers that stat prints on the node",
            )
        elif SERVED.fullmatch(path):
            yield from _served(request, where, device)
            if not device_access.may_open(request, device):
                yield error(
                    where,
                    f"the user of process.user may not read and write {path}, by its fileMode"
                    f" {device_access.mode(device):#o}",
                    "use fileMode 438, which is 0666 in JSON's decimal numbers",
                )
        elif path.startswith(("/dev/nvidia", DISPLAY)) and path not in instances:
            yield _unserved(where, path)
    yield from device_mounts.hiding(request)


def _absent(request: LaunchRequest) -> Problems:
    paths = {device["path"] for _, device in request.devices}
    if view.visible_devices(request):
        return
    # CUDA alone needs the memory's device.
    needed = (MEMORY, CONTROL) if view.requests_compute(request) else (CONTROL,)
    for name in needed if request.gpus else ():
        if f"/dev/{name}" not in paths:
            yield error(
                "linux.devices",
                f"a GPU without /dev/{name}",
                f"add /dev/{name} with the node's numbers",
            )
    # runsc reads numbers of nvproxy for them, which does not run.
    fatal = sorted(
        each for each in paths if each == f"/dev/{MEMORY}" or each.startswith((MIG, IMEX))
    )
    is_off = f"/dev/{CONTROL}" not in paths and not view.allows_nvproxy(request)
    if fatal and is_off and not request.gpus:
        yield error(
            "linux.devices",
            f"{', '.join(fatal)} without /dev/{CONTROL}, with which runsc ends with EOF",
            f"add /dev/{CONTROL} and a GPU, or remove it",
        )


def _pod(request: LaunchRequest) -> Problems:
    """Yield a container of a pod whose flags leave nvproxy to the container's devices.

    runsc sets nvproxy up with the sandbox, whose specification has no device.
    """
    is_off = request.flags and not view.allows_nvproxy(request)
    if view.joins_a_pod(request) and request.gpus and is_off:
        yield warning(
            "flags",
            "no --nvproxy: a sandbox that started without it ends with EOF at this container",
            'add --nvproxy; in containerd\'s /etc/containerd/runsc.toml it is nvproxy = "true"',
        )


def _served(request: LaunchRequest, where: str, device: dict[str, Any]) -> Problems:
    """Yield what fails at a device that nvproxy serves.

    runsc replaces the major number of nvidia-uvm by its own.
    """
    path, name = device["path"], device["path"].removeprefix("/dev/")
    numbers = (device.get("major", 0), device.get("minor", 0))
    step = "use the type and numbers that stat prints on the node"
    on_node = next((each for each in request.node.devices if each.path == path), None)
    if not on_node:
        yield error(where, f"{path} does not exist on the node", "remove it, or load the driver")
        return
    real = (on_node.major, on_node.minor)
    if name == MEMORY:
        numbers, real = (real[0], numbers[1]), (real[0], 0)
    found = f"{TYPES[device['type']]} {numbers[0]}:{numbers[1]}"
    if found != f"c {real[0]}:{real[1]}":
        yield error(where, f"{path} is {found}, but is c {real[0]}:{real[1]} on the node", step)
    elif name != MEMORY and real != _fixed(name):
        yield error(
            where,
            f"{path} is c {real[0]}:{real[1]} on the node, but nvproxy serves only"
            f" c {_fixed(name)[0]}:{_fixed(name)[1]} under this name",
            "give the container the node's device under its own name",
        )


def _fixed(name: str) -> tuple[int, int]:
    """Return the numbers of a device in the sandbox: nvproxy opens nvidiaN for the minor N."""
    match = GPU.match(name)
    return FRONTEND_MAJOR, min(int(match[1]), MOST_GPU) if match else CONTROL_MINOR


def mig_instances(request: LaunchRequest) -> set[str]:
    """Return the devices that belong to instances of MIG."""
    allowed = view.options(request).get(capabilities.ALLOWED, "")
    if "fabric-imex-mgmt" in allowed:
        return set()
    paths = {device["path"] for _, device in request.devices}
    return {path for path in paths - MIG_CONTROLS if path.startswith(MIG)}


def _unserved(where: str, path: str) -> Problem:
    more = "; GPUs of several nodes cannot share memory" if path.startswith(IMEX) else ""
    return note(
        where,
        f"nvproxy does not serve {path}: programs cannot open it{more}",
        "it may stay; remove it if you like",
    )


def foreign_nodes(request: LaunchRequest) -> Problems:
    """No device node of the driver comes from the image or a mount: it may open another GPU."""
    if not view.uses_nvproxy(request):
        return
    root, own = request.root, {device["path"] for _, device in request.devices}
    if root and not view.has_root_overlay(request) and _opens_devices(root):
        for path in sorted(device_mounts.nodes(root / "dev")):
            if f"/{path.relative_to(root)}" not in own:
                yield warning(
                    "root.path",
                    f"{path} is a device node in the image; without runsc's overlay a program opens"
                    " that GPU",
                    "keep runsc's overlay, or mount the root's file system with nodev; and refuse"
                    " such images",
                )
    yield from device_mounts.opening(request)


def _opens_devices(root: Path) -> bool:
    try:
        return not os.statvfs(root).f_flag & os.ST_NODEV
    except OSError:
        return False
