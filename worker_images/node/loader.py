"""Finds the libcuda that a program in the container loads, as the dynamic loader does."""

import os
import platform
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

from worker_images.node.launch_request import LaunchRequest

VERSIONED = re.compile(r"libcuda\.so\.(\d+\.\d[\d.]*)$")
MULTIARCH = f"{platform.machine()}-linux-gnu"
# Compiled into the loaders of Debian and Red Hat. The loader's cache does not count: the image's
# cache was written before the driver was mounted.
DEFAULT_FOLDERS = (
    f"/lib/{MULTIARCH}",
    f"/usr/lib/{MULTIARCH}",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
)
# Depths below a mounted folder to search for libcuda: /usr contains lib/x86_64-linux-gnu.
SEARCH_DEPTHS = ("", "*/", "*/*/")
MAX_LINKS = 8


def folders(request: LaunchRequest) -> list[str]:
    """Return the folders that the container's loader searches, in order."""
    path = request.environment.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":")
    own = (posixpath.normpath(folder) for folder in path if folder)
    return list(dict.fromkeys((*own, *DEFAULT_FOLDERS)))


def files(request: LaunchRequest) -> dict[str, Path]:
    """Return every libcuda.so* of the container: its path there, and the node's file behind it.

    Mounts are applied over the root as runsc does: parents first.
    """
    root, found = request.root, dict[str, Path]()
    for folder in folders(request) if root else ():
        found |= {f"{folder}/{path.name}": path for path in _libraries(Path(f"{root}/{folder}"))}
    mounts = [
        (posixpath.normpath(mount["destination"]).rstrip("/"), request.source(mount))
        for _, mount in sorted(request.mounts, key=lambda each: len(each[1]["destination"]))
    ]
    last = {destination: index for index, (destination, _) in enumerate(mounts)}
    found = {path: file for path, file in found.items() if _mount_of(path, last) < 0}
    for index, (destination, source) in enumerate(mounts):
        for path, file in _mounted(source, destination).items():
            if _mount_of(path, last) == index:
                found[path] = file
    return found


def _mount_of(path: str, last: Mapping[str, int]) -> int:
    """Return the last mount on a path or on a folder above it; -1 if there is none."""
    above = [path]
    while path:
        path = path.rpartition("/")[0]
        above.append(path)
    return max(last.get(each, -1) for each in above)


def _libraries(folder: Path) -> list[Path]:
    """Return the files libcuda.so* of a folder; none if it cannot be read."""
    try:
        return list(folder.glob("libcuda.so*"))
    except OSError:
        return []


def _mounted(source: Path, destination: str) -> dict[str, Path]:
    if not source.is_dir():
        return (
            {destination: Path(os.path.realpath(source))}
            if posixpath.basename(destination).startswith("libcuda.so")
            else {}
        )
    paths = (path for depth in SEARCH_DEPTHS for path in source.glob(f"{depth}libcuda.so*"))
    return {f"{destination}/{path.relative_to(source)}": path for path in paths}


def resolve(path: str, found: Mapping[str, Path]) -> str:
    """Follow the container's links from a path to a file.

    Returns an empty string for a dangling link and for an empty file.
    """
    for _ in range(MAX_LINKS):
        file = found.get(path)
        if file is None or not file.is_symlink():
            break
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), file.readlink()))
    return path if (file := found.get(path)) and file.is_file() and file.stat().st_size else ""


def versions(found: Mapping[str, Path]) -> dict[str, str]:
    """Return the version of every libcuda file, from its name in the container or on the node.

    The version is empty if neither name contains one.
    """
    files = {path: file for path, file in found.items() if resolve(path, found) == path}
    names = {
        path: VERSIONED.search(path) or VERSIONED.search(file.name) for path, file in files.items()
    }
    return {path: name[1] if name else "" for path, name in names.items()}


def loaded(request: LaunchRequest, found: Mapping[str, Path]) -> str:
    """Return the file that a program loads as libcuda.so.1; empty if there is none."""
    return next(
        (path for folder in folders(request) if (path := resolve(f"{folder}/libcuda.so.1", found))),
        "",
    )
