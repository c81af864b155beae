"""Reads the SONAME of a shared library from its ELF dynamic section."""

import struct
from pathlib import Path

LOAD, DYNAMIC = 1, 2
STRING_TABLE, SONAME = 5, 14


def soname(path: Path) -> str:
    """Return DT_SONAME of a 64-bit little-endian library, as all libraries of the driver are.

    Returns an empty string if the file has no SONAME, is not such a library, or is truncated.
    """
    data = path.read_bytes()
    try:
        return _soname(data) if data[:6] == b"\x7fELF\x02\x01" else ""
    except (struct.error, ValueError, StopIteration):
        return ""


def _soname(data: bytes) -> str:
    (start,), (size, count) = (
        struct.unpack_from("<Q", data, 32),
        struct.unpack_from("<HH", data, 54),
    )
    headers = [
        struct.unpack_from("<IIQQQQ", data, start + size * number) for number in range(count)
    ]
    for kind, _, offset, _, _, length in headers:
        if kind == DYNAMIC:
            tags = dict(struct.iter_unpack("<QQ", data[offset : offset + length]))
            if {SONAME, STRING_TABLE} <= tags.keys():
                begin = _file_offset(headers, tags[STRING_TABLE]) + tags[SONAME]
                return data[begin : data.index(b"\0", begin)].decode().rpartition("/")[2]
    return ""


def _file_offset(headers: list[tuple[int, ...]], address: int) -> int:
    """Return the offset in the file of an address of the loaded library."""
    return next(
        address - virtual + offset
        for kind, _, offset, virtual, _, length in headers
        if kind == LOAD and virtual <= address < virtual + length
    )
