"""Finds the user-mode files of the kernel's driver, in the first place that has its libcuda."""

import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from worker_images.node import inside
from worker_images.node.driver import shared_object
from worker_images.node.driver.lists import (
    CLASS_OF,
    GRAPHICS_FILES,
    PLACES,
    PROGRAMS,
    Place,
    is_library,
)

ROOT = Path("/")
# Besides the folders of a place, and bin and share beside its libraries.
PROGRAM_FOLDERS = ("usr/bin", "usr/local/bin", "usr/sbin", "bin", "opt/bin")
CONFIGURATION_FOLDERS = ("etc", "usr/share", "usr/local/share")
# Packages keep the libraries of VDPAU below those of the driver.
SUBFOLDERS = ("", "/vdpau")
CACHED = re.compile(r"^\s*(lib\S+) \(.*\) => (/\S+)$", re.MULTILINE)
CUDA = "libcuda"
CUDA_VERSION = re.compile(r"libcuda\.so\.([0-9]{3}\.[0-9.]+)")
SECONDS = 20


@dataclass(frozen=True)
class DriverFiles:
    """The files of one place.

    `configuration` are pairs of a file and its path in containers.
    """

    source: str = ""
    libraries: tuple[Path, ...] = ()
    programs: tuple[Path, ...] = ()
    configuration: tuple[tuple[Path, str], ...] = ()


@dataclass(frozen=True)
class Driver:
    """A driver whose files are searched: its version, x86_64 or aarch64, and the node's root."""

    version: str
    machine: str
    root: Path = ROOT


def find(driver: Driver) -> DriverFiles:
    """Return the files of the first place that has libcuda of the driver's version.

    Without such a place the result is empty.
    """
    for place in PLACES if driver.version else ():
        root = inside.resolve(driver.root, place.root)
        if root and (found := _in_place(place, driver, root)):
            return found
    return DriverFiles()


def other_versions(driver: Driver) -> tuple[Path, ...]:
    """The files of libcuda of other versions, in all places."""
    roots = ((place, inside.resolve(driver.root, place.root)) for place in PLACES)
    found = {
        inside.regular_file(root, f"{folder}/{name}")
        for place, root in roots
        if root
        for folder in _folders(place, driver, root)
        for name in inside.names(root, folder)
        if CUDA_VERSION.fullmatch(name)
    }
    return tuple(sorted(filter(None, found)))


def _in_place(place: Place, driver: Driver, root: Path) -> DriverFiles | None:
    if place.cdi:
        libraries = _from_cdi(driver)
        folders = list(dict.fromkeys(str(path.parent) for path in libraries.values()))
    else:
        folders = _folders(place, driver, root)
        libraries = _libraries(folders, driver, root)
    cuda = libraries.get(f"{CUDA}.so.{driver.version}")
    if not cuda:
        return None
    where = place.name if place.cache or place.cdi else f"{cuda.parent} ({place.name})"
    return DriverFiles(
        where,
        tuple(libraries[name] for name in sorted(libraries)),
        tuple(_programs(place, driver, root, folders)),
        tuple(_configuration(place, root, folders)),
    )


def _folders(place: Place, driver: Driver, root: Path) -> list[str]:
    """Return the folders of a place that may have libraries, relative to its root."""
    if place.cache:
        return list(dict.fromkeys(_cached(place, root)))
    return place.filled(place.libraries, driver.machine, driver.version)


def _cached(place: Place, root: Path) -> Iterator[str]:
    """Yield the folders of the driver's libraries in a loader's cache, and those of their links."""
    cache = inside.regular_file(root, place.cache)
    text = _output_of("ldconfig", "-C", str(cache), "-p") if cache else ""
    for name, path in CACHED.findall(text):
        if CLASS_OF.get(name.partition(".so")[0]):
            yield path.rpartition("/")[0]
            if found := inside.resolve(root, path):
                yield f"/{found.parent.relative_to(root)}"


def _libraries(folders: Iterable[str], driver: Driver, root: Path) -> dict[str, Path]:
    """Return the driver's libraries in some folders, by name; the first one of a name counts."""
    found = dict[str, Path]()
    for folder in (f"{folder}{sub}" for folder in folders for sub in SUBFOLDERS):
        for name in inside.names(root, folder):
            # Most names of a system's folder are those of other libraries.
            if is_library(name, driver.version) and name not in found:
                path = inside.regular_file(root, f"{folder}/{name}")
                if path and _is_usable(path, driver):
                    found[path.name] = path
    return found


def _is_usable(path: Path, driver: Driver) -> bool:
    """Whether a file is a library of this driver and machine, not an empty mount point."""
    return is_library(path.name, driver.version) and (shared_object.machine(path) == driver.machine)


def _from_cdi(driver: Driver) -> dict[str, Path]:
    """Return the libraries that the node's toolkit would mount."""
    if driver.root != ROOT:
        return {}
    text = _output_of("nvidia-ctk", "--quiet", "cdi", "generate", "--format=json")
    try:
        mounts = json.loads(text or "{}").get("containerEdits", {}).get("mounts", [])
        paths = [str(mount["hostPath"]) for mount in mounts]
    except (ValueError, AttributeError, KeyError, TypeError):
        return {}
    files = (inside.regular_file(ROOT, path) for path in paths)
    return {path.name: path for path in files if path and _is_usable(path, driver)}


def _programs(place: Place, driver: Driver, root: Path, libraries: Iterable[str]) -> Iterator[Path]:
    """Yield the driver's programs that run in any container."""
    own = place.filled(place.programs, driver.machine, driver.version)
    beside = [f"{folder}/../bin" for folder in libraries]
    for name in PROGRAMS:
        for folder in (*own, *beside, *PROGRAM_FOLDERS):
            path = inside.regular_file(root, f"{folder}/{name}")
            if path and path.name == name and shared_object.runs_in_containers(path):
                yield path
                break


def _configuration(
    place: Place, root: Path, libraries: Iterable[str]
) -> Iterator[tuple[Path, str]]:
    """Yield the files by which graphics' loaders find the driver, and their paths in containers."""
    beside = [f"{folder}/../share" for folder in libraries]
    for destination in GRAPHICS_FILES:
        name = destination.removeprefix("/etc/").removeprefix("/usr/share/")
        for folder in (*place.configuration, *beside, *CONFIGURATION_FOLDERS):
            if path := inside.regular_file(root, f"{folder}/{name}"):
                yield path, destination
                break


def _output_of(*command: str) -> str:
    """Return the standard output of a program; empty if it is missing or fails."""
    # ldconfig is not on every user's PATH.
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            timeout=SECONDS,
            env={**os.environ, "PATH": path},
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
