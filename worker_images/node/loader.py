"""Which libcuda a program in the container gets, as the dynamic loader looks for it."""

import platform
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

from worker_images.node.launch import Launch

VERSIONED = re.compile(r"libcuda\.so\.(\d+\.\d[\d.]*)$")
MULTIARCH = f"{platform.machine()}-linux-gnu"
# Compiled into the loaders of Debian and of Red Hat; a cache in the image was written before the
# driver was mounted.
LOADERS_OWN = (
    f"/lib/{MULTIARCH}",
    f"/usr/lib/{MULTIARCH}",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
)
# How deep below a mounted folder a libcuda is looked for: /usr brings lib/x86_64-linux-gnu.
DEPTHS = ("", "*/", "*/*/")
LINKS = 8


def folders(launch: Launch) -> list[str]:
    """Where the container's loader looks, in its order."""
    own = launch.environment.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":")
    return [*(posixpath.normpath(folder) for folder in own if folder), *LOADERS_OWN]


def files(launch: Launch) -> dict[str, Path]:
    """Every path libcuda.so* of the container, with the node's file behind it: of the root, then of
    the mounts, parents first as runsc.
    """
    root, found = launch.root, dict[str, Path]()
    for folder in folders(launch) if root else ():
        found |= {
            f"{folder}/{path.name}": path for path in Path(f"{root}/{folder}").glob("libcuda.so*")
        }
    for _, mount in sorted(launch.mounts, key=lambda each: len(each[1]["destination"])):
        source, destination = (
            launch.source(mount),
            posixpath.normpath(mount["destination"]).rstrip("/"),
        )
        found = {
            path: file
            for path, file in found.items()
            if not f"{path}/".startswith(f"{destination}/")
        }
        found |= _brought(source, destination)
    return found


def _brought(source: Path, destination: str) -> dict[str, Path]:
    if not source.is_dir():
        return (
            {destination: source.resolve()}
            if posixpath.basename(destination).startswith("libcuda.so")
            else {}
        )
    paths = (path for depth in DEPTHS for path in source.glob(f"{depth}libcuda.so*"))
    return {f"{destination}/{path.relative_to(source)}": path for path in paths}


def target(path: str, found: Mapping[str, Path]) -> str:
    """Where a name leads by the container's links.

    Empty where it leads nowhere, or to an empty file.
    """
    for _ in range(LINKS):
        file = found.get(path)
        if file is None or not file.is_symlink():
            break
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), file.readlink()))
    return path if (file := found.get(path)) and file.is_file() and file.stat().st_size else ""


def versions(found: Mapping[str, Path]) -> dict[str, str]:
    """Every libcuda that is there, with the version that its name says, in the container or on the
    node; empty where neither does.
    """
    there = {path: file for path, file in found.items() if target(path, found) == path}
    names = {
        path: VERSIONED.search(path) or VERSIONED.search(file.name) for path, file in there.items()
    }
    return {path: name[1] if name else "" for path, name in names.items()}


def loaded(launch: Launch, found: Mapping[str, Path]) -> str:
    """The file that a program gets for libcuda.so.1; empty for none."""
    return next(
        (path for folder in folders(launch) if (path := target(f"{folder}/libcuda.so.1", found))),
        "",
    )
