"""Reads the driver's libraries and programs: machine, SONAME, and the loader that they ask for."""

import mmap
import struct
from collections.abc import Callable
from pathlib import Path

ELF64 = b"\x7fELF\x02\x01"
MACHINES = {62: "x86_64", 183: "aarch64"}
LOAD, DYNAMIC, INTERPRETER = 1, 2, 3
STRING_TABLE, SONAME = 5, 14
SCRIPT = b"#!"
# Folders of loaders and shells that every container with the C library has.
LOADERS = ("/lib/", "/lib64/", "/bin/", "/usr/bin/")
MAX_SECTION_BYTES, MAX_PATH_BYTES, MAX_HEADERS = 1 << 20, 4096, 128

Header = tuple[int, ...]


def machine(path: Path) -> str:
    """Return x86_64 or aarch64 for a 64-bit ELF file of that machine; empty for any other file."""
    try:
        with path.open("rb") as file:
            start = file.read(20)
    except OSError:
        return ""
    is_elf = len(start) == 20 and start.startswith(ELF64)
    return MACHINES.get(int.from_bytes(start[18:20], "little"), "") if is_elf else ""


def soname(path: Path) -> str:
    """Return DT_SONAME of a 64-bit little-endian library, as all libraries of the driver are.

    Returns an empty string if the file has no SONAME, is not such a library, or is truncated.
    """
    return _read(path, _soname)


def runs_in_containers(path: Path) -> bool:
    """Whether a program needs only a loader or a shell that containers have.

    Programs of NixOS need the loader of its store.
    """
    try:
        with path.open("rb") as file:
            start = file.read(MAX_PATH_BYTES)
    except OSError:
        return False
    if start.startswith(SCRIPT):
        needed = start[2:].split(b"\n")[0].strip().decode(errors="replace")
    else:
        needed = _read(path, _interpreter)
    return bool(start) and (not needed or needed.startswith(LOADERS))


def _read(path: Path, part: Callable[[mmap.mmap, list[Header]], str]) -> str:
    """Return a part of a 64-bit little-endian ELF file; empty without one."""
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return part(data, _headers(data)) if data[:6] == ELF64 else ""
    except (OSError, OverflowError, struct.error, ValueError, StopIteration):
        return ""


def _headers(data: mmap.mmap) -> list[Header]:
    (start,), (size, count) = (
        struct.unpack_from("<Q", data, 32),
        struct.unpack_from("<HH", data, 54),
    )
    return [
        struct.unpack_from("<IIQQQQ", data, start + size * number)
        for number in range(min(count, MAX_HEADERS))
    ]


def _soname(data: mmap.mmap, headers: list[Header]) -> str:
    for kind, _, offset, _, _, length in headers:
        if kind == DYNAMIC:
            section = data[offset : offset + min(length, MAX_SECTION_BYTES)]
            tags = dict(struct.iter_unpack("<QQ", section))
            if {SONAME, STRING_TABLE} <= tags.keys():
                begin = _file_offset(headers, tags[STRING_TABLE]) + tags[SONAME]
                return _text(data, begin).rpartition("/")[2]
    return ""


def _interpreter(data: mmap.mmap, headers: list[Header]) -> str:
    return next((_text(data, each[2]) for each in headers if each[0] == INTERPRETER), "")


def _text(data: mmap.mmap, begin: int) -> str:
    """Return the text that ends with a NUL; raises ValueError without one."""
    text, end, _ = data[begin : begin + MAX_PATH_BYTES].partition(b"\0")
    if not end:
        raise ValueError("no end")
    return text.decode()


def _file_offset(headers: list[Header], address: int) -> int:
    """Return the offset in the file of an address of the loaded library."""
    return next(
        address - virtual + offset
        for kind, _, offset, virtual, _, length in headers
        if kind == LOAD and virtual <= address < virtual + length
    )
