"""Stand-ins for a GPU: device nodes without a driver behind them, and a minimal libcuda."""

import os
import stat
import struct
from collections.abc import Sequence
from pathlib import Path

from worker_images.node import node
from worker_images.node.node import Node

DRIVER = "580.159.04"
# The devices that runsc and programs need, then the driver's. The major number of nvidia-uvm is an
# unused one.
STANDARD = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
NVIDIA = (
    ("nvidiactl", 195, 255),
    ("nvidia0", 195, 0),
    ("nvidia-uvm", 510, 0),
    ("nvidia-uvm-tools", 510, 1),
)


def devices(folder: Path, nodes: Sequence[tuple[str, int, int]] = (*STANDARD, *NVIDIA)) -> Path:
    """Create a folder of devices, by default one to mount as /dev; needs root."""
    folder.mkdir()
    for name, major, minor in nodes:
        os.mknod(folder / name, stat.S_IFCHR, os.makedev(major, minor))
        (folder / name).chmod(0o666)
    return folder


def node_with(devices: Path, libraries: Path) -> Node:
    """Return a node with these devices, and a driver that the image's runsc serves."""
    libraries.mkdir()
    path = libraries / f"libcuda.so.{DRIVER}"
    path.write_bytes(elf_library("libcuda.so.1"))
    return Node(DRIVER, tuple(node.devices(devices)), (path,), (), "stand-ins")


def elf_library(soname: str, machine: int = 62) -> bytes:
    """Return a minimal ELF file with a SONAME, by default for amd64."""
    headers, name = 64, b"\0" + soname.encode() + b"\0"
    dynamic = headers + 2 * 56
    strings = dynamic + 3 * 16
    size = strings + len(name)
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    start = identity + struct.pack(
        "<HHIQQQIHHHHHH", 3, machine, 1, 0, headers, 0, 0, 64, 56, 2, 64, 0, 0
    )
    load = struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, size, size, 4096)
    section = struct.pack("<IIQQQQQQ", 2, 4, dynamic, dynamic, dynamic, 48, 48, 8)
    return start + load + section + struct.pack("<QQQQQQ", 5, strings, 14, 1, 0, 0) + name
