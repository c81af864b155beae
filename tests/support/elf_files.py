"""ELF files for tests."""

import struct


def library(names: tuple[str, ...], *, strings_at: int = 0x1000) -> bytes:
    """Return a 64-bit library whose only loaded segment contains the string table."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    places = [strings.index(b"\0" + name.encode() + b"\0") + 1 for name in names]
    tags = [*((1, place) for place in places), (5, strings_at), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *tag) for tag in tags)
    begin = 64 + 2 * 56
    segments = [(1, begin, 0x1000, len(strings)), (2, begin + len(strings), 0, len(dynamic))]
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQ", 3, 62, 1, 0, 64)
    header = header.ljust(54, b"\0") + struct.pack("<HH", 56, len(segments))
    rows = [
        struct.pack("<IIQQQQQQ", kind, 4, offset, address, 0, size, size, 1)
        for kind, offset, address, size in segments
    ]
    return header.ljust(64, b"\0") + b"".join(rows) + strings + dynamic
