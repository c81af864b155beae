"""The rule F12 of docs/launcher.md, on sockets, and the part of F14 on the root.

gVisor release-20260622.0: runsc/cmd/sandboxsetup/gofer_mount.go.
"""

import os
from pathlib import Path

from worker_images.node.lint import view
from worker_images.node.lint.container_files import ContainerFiles
from worker_images.node.lint.finding import Problems, error, warning
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.lint.rules.device_mounts import SERVED

SERVICES = ("nvidia-persistenced", "nvidia-fabricmanager", "nvidia-mps", "nvidia-imex")
REMOVE = "remove it; nvidia-ctk cdi generate: CDI_FEATURE_FLAGS=disable-ipc-discoverer"


def sockets(request: LaunchRequest) -> Problems:
    """No mount is a socket: programs connect to it only with --host-uds, and runsc may end with
    EOF.
    """
    may_connect = view.options(request).get("host-uds") in ("open", "all")
    may_connect = may_connect or view.is_enabled(request, "fsgofer-host-uds")
    before = ContainerFiles(request.root)
    for index, mount in request.mounts:
        where, source = f"mounts[{index}]", request.source(mount)
        there = before.behind(before.resolve(mount["destination"]))
        if source.is_socket() and there and there.is_socket():
            yield error(
                where,
                f"{source} is a socket, and one is already at {mount['destination']}, with which"
                " runsc ends with EOF",
                "use another destination, or mount only the folder",
            )
        elif is_service(source) and not source.exists():
            yield error(
                where,
                f"{source} is a socket of a driver's service that does not exist, with which runsc"
                " ends with EOF",
                REMOVE,
            )
        elif is_service(source) and not may_connect:
            yield error(
                where,
                f"{source} is a socket of a driver's service: the sandbox starts, but its programs"
                " cannot connect",
                REMOVE,
            )
        elif source.is_socket() and not may_connect:
            yield warning(
                where,
                f"{source} is a socket, to which programs cannot connect",
                "add --host-uds=open, or remove it",
            )
        before.add(index, mount["destination"], source)


def is_service(source: Path) -> bool:
    """Report if a path is that of a socket of the driver's services, by its name."""
    named = "run" in source.parts and any(name in str(source) for name in SERVICES)
    return named and not source.is_file() and not source.is_dir()


def root(request: LaunchRequest) -> Problems:
    """Yield what runsc refuses at the root: it mounts nothing through a link."""
    folder = request.root
    if not folder:
        return
    serves = any(SERVED.fullmatch(device["path"]) for _, device in request.devices)
    if folder.exists() and not folder.is_dir():
        yield error(
            "root.path", f"{folder} is not a folder", "write the folder of the image's files"
        )
    elif not folder.is_dir():
        yield warning(
            "root.path",
            f"{folder} does not exist here: the image's files were not checked, and runsc refuses a"
            " missing root",
            "run lint when the root is there",
        )
    elif not request.host and (serves or request.mounts) and _is_link(folder):
        yield error(
            "root.path",
            f"{folder} leads through a link, with which runsc ends with EOF",
            f"write {os.path.realpath(folder)}",
        )
    elif serves and (folder / "dev").is_symlink():
        yield error(
            "root.path",
            "/dev of the image is a link, on which runsc cannot mount devices",
            "use an image with a folder /dev",
        )
    elif view.is_enabled(request, "rootless"):
        yield from _rootless(request, folder)


def _rootless(request: LaunchRequest, folder: Path) -> Problems:
    """Yield mount points that are missing in a root in which this user cannot make them."""
    files = ContainerFiles(folder)
    missing = []
    for index, mount in enumerate(request.specification.get("mounts") or ()):
        source = view.bind_source(request, mount)
        if source and not _can_make(files, mount["destination"]):
            missing.append(mount["destination"])
        files.add(index, mount["destination"], source)
    devices = (each["path"] for _, each in request.devices if SERVED.fullmatch(each["path"]))
    missing += [path for path in devices if not _can_make(ContainerFiles(folder), path)]
    for path in missing:
        yield error(
            "root.path",
            f"{path} is missing in the root; a rootless runsc of this user cannot create it",
            "create the mount points first, or give the root to the user",
        )


def _can_make(files: ContainerFiles, path: str) -> bool:
    there = files.behind(files.resolve(path))
    if not there or there.exists():
        return True
    above = next(each for each in there.parents if each.exists())
    return os.access(above, os.W_OK)


def _is_link(folder: Path) -> bool:
    return os.path.realpath(folder) != os.path.normpath(folder)
