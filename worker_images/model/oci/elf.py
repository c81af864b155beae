"""ELF files: machine, needed libraries and Go build information, read from their bytes."""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

ELF = b"\x7fELF"
MACHINES = {"amd64": 62, "arm64": 183}
MAGIC = b"\xff Go buildinf:"
# Go writes 16 marker bytes before and after the module text.
SENTINEL = 16
# Fields of the ELF header: offset, entry size and number of the program headers.
HEADERS = (("<Q", 32), ("<H", 54), ("<H", 56))
PT_LOAD, PT_DYNAMIC = 1, 2
DT_NEEDED, DT_STRTAB, DT_SONAME, DT_VERNEED = 1, 5, 14, 0x6FFFFFFE
SEGMENT = "<I4xQQ8xQ"
HEADER_BYTES = 56
MAX_DYNAMIC_BYTES = 1 << 20
MAX_NAME_BYTES = 1024
# A library's row: the number of its versions, its name, its first version and the next row.
# A version's row: its name and the next row.
LIBRARY, VERSION = "<2xHIII", "<8xII"
MAX_VERSIONS = 4096
# Of the length of a text, which takes 7 bits of each byte.
MAX_LENGTH_BITS = 63


class ElfError(Exception):
    """The bytes do not follow the format."""


class Segment(NamedTuple):
    """A program header: a range of the file and its address in memory."""

    kind: int
    offset: int
    address: int
    length: int


@dataclass(frozen=True)
class BuildInfo:
    """Go's build information: compiler, main package, each module with version and go.sum hash."""

    go: str
    path: str
    modules: dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Dynamic:
    """The shared libraries that a file needs, and its own name as a library."""

    needed: tuple[str, ...] = ()
    soname: str = ""


def machine(header: bytes) -> int:
    """The ELF machine number; raises ElfError for a file that is not ELF."""
    if header[:4] != ELF or len(header) < 20:
        raise ElfError(f"not an ELF file: begins with {header[:8]!r}")
    return int(struct.unpack_from("<H" if header[5] == 1 else ">H", header, 18)[0])


def build_info(path: Path) -> BuildInfo:
    """Go's build information; raises ElfError if the file has none."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        machine(data[:64])
        start = data.find(MAGIC)
        while start >= 0 and start % 16:
            start = data.find(MAGIC, start + 1)
        if start < 0:
            raise ElfError("no Go build information")
        if not data[start + 15] & 2:
            raise ElfError("Go build information of Go before 1.18")
        try:
            go, position = _text(data, start + 32)
            modules, _ = _text(data, position)
            return _parsed(go.decode(), modules[SENTINEL:-SENTINEL].decode())
        except (IndexError, UnicodeDecodeError) as error:
            raise ElfError(f"truncated Go build information: {error}") from error


def dynamic(data: bytes | mmap.mmap, start: int = 0) -> Dynamic:
    """The dynamic section of a program or library that begins at `start`; empty if it is static.

    Raises ElfError for anything but 64-bit little-endian ELF.
    """
    if data[start : start + 6] != ELF + b"\x02\x01":
        raise ElfError("not a 64-bit little-endian ELF file")
    try:
        return _dynamic(data, start)
    except (struct.error, OverflowError, UnicodeDecodeError) as error:
        raise ElfError(f"truncated or invalid: {error}") from error


def versions(data: bytes | mmap.mmap) -> dict[str, tuple[str, ...]]:
    """The symbol versions that a program needs, such as GLIBC_2.17, by library.

    Raises ElfError for anything but 64-bit little-endian ELF.
    """
    if data[:6] != ELF + b"\x02\x01":
        raise ElfError("not a 64-bit little-endian ELF file")
    try:
        headers, rows = _tags(data, 0)
        tags = dict(rows)
        if DT_VERNEED not in tags:
            return {}
        strings = _offset(headers, tags.get(DT_STRTAB, -1))
        return dict(_versions(data, _offset(headers, tags[DT_VERNEED]), strings))
    except (struct.error, OverflowError, UnicodeDecodeError) as error:
        raise ElfError(f"truncated or invalid: {error}") from error


def _versions(
    data: bytes | mmap.mmap, begin: int, strings: int
) -> Iterator[tuple[str, tuple[str, ...]]]:
    left = MAX_VERSIONS
    while True:
        count, name, first, following = struct.unpack_from(LIBRARY, data, begin)
        left -= count
        if left < 0:
            raise ElfError(f"more than {MAX_VERSIONS} versions of symbols")
        found, place = list[str](), begin + first
        for _ in range(count):
            text, step = struct.unpack_from(VERSION, data, place)
            found.append(_string(data, strings + text))
            place += step
        yield _string(data, strings + name), tuple(found)
        if not following:
            return
        begin += following


def _dynamic(data: bytes | mmap.mmap, start: int) -> Dynamic:
    headers, tags = _tags(data, start)
    if not any(tag in {DT_NEEDED, DT_SONAME} for tag, _ in tags):
        return Dynamic()
    strings = start + _offset(headers, dict(tags).get(DT_STRTAB, -1))

    def names(wanted: int) -> tuple[str, ...]:
        return tuple(_string(data, strings + name) for tag, name in tags if tag == wanted)

    return Dynamic(names(DT_NEEDED), "".join(names(DT_SONAME)[-1:]))


def _tags(data: bytes | mmap.mmap, start: int) -> tuple[list[Segment], list[tuple[int, int]]]:
    """The program headers, and the rows of the dynamic section."""
    begin, size, count = (struct.unpack_from(f, data, start + at)[0] for f, at in HEADERS)
    if size != HEADER_BYTES:
        raise ElfError(f"program headers of {size} bytes")
    headers = [
        Segment(*struct.unpack_from(SEGMENT, data, start + begin + size * each))
        for each in range(count)
    ]
    tags = list[tuple[int, int]]()
    # The loader takes the last one, up to its end mark.
    for each in [each for each in headers if each.kind == PT_DYNAMIC][-1:]:
        part = start + each.offset
        rows = data[part : part + min(each.length, MAX_DYNAMIC_BYTES)]
        tags += takewhile(lambda row: row[0], struct.iter_unpack("<qQ", rows))
    return headers, tags


def _offset(headers: list[Segment], address: int) -> int:
    """The offset of an address in the file."""
    for each in headers:
        if each.kind == PT_LOAD and each.address <= address < each.address + each.length:
            return each.offset + address - each.address
    raise ElfError(f"address {address:#x} is not in a segment")


def _string(data: bytes | mmap.mmap, begin: int) -> str:
    return data[begin : begin + MAX_NAME_BYTES].partition(b"\0")[0].decode()


def _text(data: mmap.mmap, position: int) -> tuple[bytes, int]:
    """Read a length as a variable-size integer, then that many bytes."""
    length = shift = 0
    while True:
        byte = data[position]
        position += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if shift > MAX_LENGTH_BITS:
            raise ElfError("Go build information with a length that is not valid")
        if byte < 0x80:
            return data[position : position + length], position + length


def _parsed(go: str, text: str) -> BuildInfo:
    path, modules, last = "", {}, ""
    for line in text.splitlines():
        kind, *fields = line.split("\t")
        if kind == "path":
            path = fields[0]
        elif kind in {"mod", "dep"}:
            last = fields[0]
            modules[last] = (fields[1], fields[2] if len(fields) > 2 else "")
        elif kind == "=>":
            modules[last] = (
                f"replaced by {fields[0]} {fields[1]}",
                fields[2] if len(fields) > 2 else "",
            )
    return BuildInfo(go, path, modules)
