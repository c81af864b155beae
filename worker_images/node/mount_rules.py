"""The rule F12 of docs/launcher.md, on sockets, and the part of F14 on mounts and the root.

gVisor release-20260622.0: runsc/cmd/sandboxsetup/gofer_mount.go, and validateMount and SafeMount in
runsc/specutils.
"""

import os
from pathlib import Path
from typing import Any

from worker_images.node import launch_view
from worker_images.node.container_files import ContainerFiles
from worker_images.node.device_rules import SERVED
from worker_images.node.finding import Problems, error, warning
from worker_images.node.launch_request import LaunchRequest

SERVICES = ("nvidia-persistenced", "nvidia-fabricmanager", "nvidia-mps", "nvidia-imex")


def sockets(request: LaunchRequest) -> Problems:
    """No mount is a socket: programs connect to it only with --host-uds, and runsc may end with
    EOF.
    """
    may_connect = launch_view.options(request).get("host-uds") in ("open", "all")
    before = ContainerFiles(request.root)
    for index, mount in request.mounts:
        where, source = f"mounts[{index}]", request.source(mount)
        there = before.behind(before.resolve(mount["destination"]))
        if is_service(source) and not may_connect:
            yield error(
                where,
                f"{source} is a socket: programs cannot connect to it, and runsc ends with EOF if"
                " one is already at its destination",
                "remove it; nvidia-ctk cdi generate: CDI_FEATURE_FLAGS=disable-ipc-discoverer",
            )
        elif source.is_socket() and there and there.is_socket():
            yield error(
                where,
                f"{source} is a socket, and one is already at {mount['destination']}, with which"
                " runsc ends with EOF",
                "use another destination, or mount only the folder",
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
    if not folder.is_dir():
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
    elif launch_view.is_enabled(request, "rootless"):
        yield from _rootless(request, folder)


def _rootless(request: LaunchRequest, folder: Path) -> Problems:
    """Yield mount points that are missing in a root in which this user cannot make them."""
    files = ContainerFiles(folder)
    missing = []
    for index, mount in enumerate(request.specification.get("mounts") or ()):
        source = request.source(mount) if launch_view.is_bind(mount) else None
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


def mounts(request: LaunchRequest) -> Problems:
    """Yield mounts that runsc refuses, cannot make, or makes over each other."""
    before = ContainerFiles(request.root)
    for index, mount in enumerate(request.specification.get("mounts") or ()):
        where, destination = f"mounts[{index}]", mount["destination"]
        source = request.source(mount) if launch_view.is_bind(mount) else None
        if not destination.startswith("/"):
            yield error(where, f"{destination} is not an absolute path", "write one")
        if source and not destination.strip("/"):
            yield error(where, "a bind mount at /, with which runsc ends with EOF", "remove it")
        if not source and not mount.get("source") and _says_bind(mount):
            yield error(where, f"a bind mount at {destination} without a source", "add its source")
        if source:
            yield from _bind(request, before, where, mount)
        before.add(index, destination, source)
    yield from _hidden(before)


def _says_bind(mount: dict[str, Any]) -> bool:
    return mount.get("type") == "bind" or bool({"bind", "rbind"} & {*(mount.get("options") or ())})


def _bind(
    request: LaunchRequest, before: ContainerFiles, where: str, mount: dict[str, Any]
) -> Problems:
    source = request.source(mount)
    if shared := {"shared", "rshared"} & {*(mount.get("options") or ())}:
        yield error(where, f"runsc refuses the option {min(shared)}", "use rprivate or rslave")
    there = before.behind(before.resolve(mount["destination"]))
    if not source.exists():
        if not is_service(source):
            yield error(
                where,
                f"{source} does not exist, with which runsc ends with EOF",
                "remove the mount, or create its source",
            )
    elif there and there.exists() and there.is_dir() != source.is_dir():
        kinds = ("a folder", "a file") if source.is_dir() else ("a file", "a folder")
        yield error(
            where,
            f"{source} is {kinds[0]}, but {mount['destination']} is {kinds[1]}, with which runsc"
            " ends with EOF",
            "use another destination",
        )


def _hidden(files: ContainerFiles) -> Problems:
    """Yield mounts that a later one hides: runsc opens the later one's file in their place."""
    for destination, (index, source) in files.mounts.items():
        seen = files.behind(destination)
        if source and source.exists() and seen != source:
            is_there = seen is not None and seen.exists()
            effect = "programs see its file" if is_there else "runsc ends with EOF"
            yield (warning if is_there else error)(
                f"mounts[{index}]",
                f"a later mount hides {destination}: {effect}",
                "write mounts of folders before those of files in them",
            )
