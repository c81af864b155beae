"""Small trees of GPU nodes, described in JSON and laid out in a folder."""

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.nodes import program
from worker_images.files import ROOT
from worker_images.model.drivers import kernel
from worker_images.model.oci.elf import MACHINES
from worker_images.node import node, stand_in
from worker_images.node.node import Node

LAUNCH, PLACES = ROOT / "tests/unit/reports/launch", ROOT / "tests/unit/reports/places"
NIX_LOADER = "/nix/store/4kz2-glibc-2.40/lib/ld-linux-x86-64.so.2"


@dataclass(frozen=True)
class Tree:
    """A node's root that was laid out, and its description."""

    root: Path
    description: dict[str, Any]

    def names(self, kind: str) -> list[str]:
        """The files of a kind that must be found, as paths of this machine."""
        return [f"{self.root}/{path}" for path in self.description["found"][kind]]


def read(file: Path, root: Path) -> Tree:
    """Lay out the tree of a file."""
    return lay_out(json.loads(file.read_text()), root)


def lay_out(description: dict[str, Any], root: Path) -> Tree:
    """Create a driver's version file, libraries, programs, links, and the loader's cache.

    Files of `files32` are 32-bit, those of `empty` are empty, and those of `sockets` sockets.
    """
    write(root / "proc/driver/nvidia/version", description["proc"].encode())
    architecture = kernel.architecture_in(description["proc"])
    machine = MACHINES[architecture or "amd64"]
    for path in description["files"]:
        write(root / path, content(path, machine), 0o755)
    for path in description.get("files32", ()):
        write(root / path, b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x03\0\x03\0" + bytes(32))
    for path in description.get("programs_of_another_loader", ()):
        write(root / path, interpreted(NIX_LOADER), 0o755)
    for path in description.get("empty", ()):
        write(root / path, b"")
    for path in description.get("sockets", ()):
        listen(root / path)
    for path, target in description.get("links", {}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(target)
    if lines := description.get("cache"):
        write(root / "etc/ld.so.cache", b"a cache")
        cache_of(root.parent / f"{root.name}-programs", lines)
    return Tree(root, description)


def cache_of(programs: Path, lines: list[str]) -> None:
    """Create a program ldconfig that prints a cache, for PATH."""
    program(programs, "ldconfig", "".join(f"\t{line}\n" for line in lines))


def content(path: str, machine: int) -> bytes:
    """The content of a file by its name: a library with a SONAME, a program, or a text."""
    name = Path(path).name
    if ".so" in name:
        return stand_in.elf_library(f"{name.partition('.so')[0]}.so.1", machine)
    return stand_in.elf_library(name, machine) if "bin" in Path(path).parts else b"a file\n"


def interpreted(loader: str) -> bytes:
    """A program that asks for a loader: the dynamic section of a library becomes its name."""
    data = bytearray(stand_in.elf_library("program"))
    second = 64 + 56
    data[second : second + 4] = (3).to_bytes(4, "little")
    data[second + 8 : second + 16] = len(data).to_bytes(8, "little")
    return bytes(data) + loader.encode() + b"\0"


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def listen(path: Path) -> None:
    """Create a socket to which no program listens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFSOCK | 0o600)


def gpu(root: Path, address: str, minor: int, uuid: str, **more: str) -> None:
    """Create what the driver says of a GPU."""
    fields = {
        "Model": "NVIDIA H100 80GB HBM3",
        "IRQ": "47",
        "GPU UUID": uuid,
        "Bus Type": "PCIe",
        "Bus Location": address,
        "Device Minor": str(minor),
        "GPU Excluded": "No",
        **more,
    }
    text = "".join(f"{name}: \t {value}\n" for name, value in fields.items())
    write(root / f"proc/driver/nvidia/gpus/{address}/information", text.encode())


VERSION = "580.159.04"
PROC = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (dvs-builder@U22)"
    "  Tue Jan  6 00:00:00 UTC 2026\n"
)
# Folders of the driver's libraries on some nodes.
GKE, SYSTEM = "home/kubernetes/bin/nvidia/lib64", "usr/lib64"
CONTAINER = "run/nvidia/driver/usr/lib64"


def read_with(folder: Path, *files: str, **more: object) -> Node:
    """Read a node's tree with these files, which is laid out below a folder."""
    description = {"proc": PROC.format(VERSION), "files": [*files], **more}
    return node.read(lay_out(description, folder / "node").root)


def cuda(folder: str, version: str = VERSION) -> str:
    """The path of libcuda in a folder."""
    return f"{folder}/libcuda.so.{version}"


def names(seen: Node) -> list[str]:
    """The file names of the libraries that were found."""
    return [path.name for path in seen.libraries]
