"""The libcuda files of a container, and the one that programs load."""

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.node.lint import loader
from worker_images.node.lint.container_files import ContainerFiles
from worker_images.node.lint.loader import Loader
from worker_images.node.lint.request import LaunchRequest

# The start of an ELF file, with ELFCLASS32.
ELF_32 = b"\x7fELF\x01"
VERSIONED = re.compile(r"libcuda\.so\.(\d+\.\d[\d.]*)$")
# Places below a mounted folder to search for libcuda: /usr contains lib/x86_64-linux-gnu, and the
# root of a driver container usr/lib/x86_64-linux-gnu.
SEARCH_DEPTHS = ("", "*/", "*/*/", "usr/lib/*/")


@dataclass(frozen=True)
class Library:
    """A libcuda: its path in the container, and its version, which is empty if no name has it."""

    path: str
    version: str

    @property
    def folder(self) -> str:
        """The folder that contains it."""
        return posixpath.dirname(self.path)


@dataclass(frozen=True)
class Libraries:
    """Every libcuda of a container, the one that programs load, if any, and the loader."""

    files: ContainerFiles
    loader: Loader
    found: tuple[Library, ...]
    loaded: Library | None

    def of(self, driver: str) -> list[Library]:
        """Return those of a driver's version."""
        return [library for library in self.found if library.version == driver]


def read(request: LaunchRequest) -> Libraries:
    """Return the libcuda files of a container."""
    files = ContainerFiles.of(request)
    its_loader = loader.read(request, files)
    names = dict.fromkeys((*_mounted(request, files), *_searched(files, its_loader)))
    found = [library for path in names if (library := _library(request, files, path))]
    linked = _linked(found, [files.resolve(folder) for folder in its_loader.refreshed])
    paths = (*its_loader.before, *linked, *its_loader.after)
    candidates = (_library(request, files, path) for path in paths)
    loaded = next((library for library in candidates if library), None)
    return Libraries(files, its_loader, tuple(dict.fromkeys(found)), loaded)


def _linked(found: Sequence[Library], folders: Sequence[str]) -> list[str]:
    """Return what ldconfig caches: in each folder it links the newest library."""
    newest = sorted(found, key=lambda each: numbers(each.version), reverse=True)
    places = {folder: place for place, folder in reversed([*enumerate(folders)])}
    linked = [each for each in newest if each.folder in places]
    return [each.path for each in sorted(linked, key=lambda each: places[each.folder])]


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers that compare."""
    return tuple(int(part) for part in version.split(".") if part)


def _library(request: LaunchRequest, files: ContainerFiles, path: str) -> Library | None:
    found = files.file(path)
    if not found or not found[1].stat().st_size or _has_32_bits(found[1]):
        return None
    inside, outside = found
    name = VERSIONED.search(inside) or VERSIONED.search(os.path.realpath(outside))
    if name:
        return Library(inside, name[1])
    is_drivers = any(_is_same(outside, each) for each in request.node.libraries)
    return Library(inside, request.node.driver if is_drivers else "")


def _has_32_bits(path: Path) -> bool:
    """Report if a library is one that the loader of 64 bits passes over."""
    try:
        with path.open("rb") as file:
            return file.read(len(ELF_32)) == ELF_32
    except OSError:
        return False


def _is_same(one: Path, other: Path) -> bool:
    try:
        return other.name.startswith("libcuda.so") and one.samefile(other)
    except OSError:
        return False


def _mounted(request: LaunchRequest, files: ContainerFiles) -> Iterator[str]:
    """Yield the paths of libcuda files in mounts."""
    for _, mount in request.mounts:
        source = request.source(mount)
        destination = files.resolve(mount["destination"])
        if posixpath.basename(destination).startswith("libcuda.so"):
            yield destination
        else:
            for path in (each for depth in SEARCH_DEPTHS for each in _glob(source, depth)):
                yield posixpath.join(destination, path.relative_to(source).as_posix())


def _glob(folder: Path, depth: str) -> list[Path]:
    try:
        return list(folder.glob(f"{depth}libcuda.so*"))
    except OSError:
        return []


def _searched(files: ContainerFiles, its_loader: Loader) -> Iterator[str]:
    """Yield the paths of libcuda files in the folders that the loader searches."""
    folders = (*its_loader.path, *its_loader.refreshed, *its_loader.own)
    for folder in dict.fromkeys(files.resolve(each) for each in folders):
        for name in files.names(folder):
            if name.startswith("libcuda.so"):
                yield posixpath.join(folder, name)
