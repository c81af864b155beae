"""ELF files for tests."""

import struct

GO_MODULES = (
    "path\texample.org/tool/cmd\nmod\texample.org/tool\t(devel)\t\n"
    "dep\tgvisor.dev/gvisor\tv1.2.3\th1:abc=\ndep\ta.b/c\tv1.0.0\n=>\td.e/f\tv2.0.0\th1:x=\n"
)


def library(names: tuple[str, ...], *, strings_at: int = 0x1000, soname: str = "") -> bytes:
    """Return a 64-bit library whose only loaded segment contains the string table."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in (*names, soname))
    places = [strings.index(b"\0" + name.encode() + b"\0") + 1 for name in names]
    tags = [*((1, place) for place in places), (5, strings_at), (0, 0)]
    if soname:
        tags.insert(0, (14, strings.index(b"\0" + soname.encode() + b"\0") + 1))
    dynamic = b"".join(struct.pack("<qQ", *tag) for tag in tags)
    begin = 64 + 2 * 56
    segments = [(1, begin, 0x1000, len(strings)), (2, begin + len(strings), 0, len(dynamic))]
    return _with_segments(segments, strings + dynamic)


def _with_segments(segments: list[tuple[int, int, int, int]], contents: bytes) -> bytes:
    """Return a header, the program headers (kind, offset, address, size) and the contents."""
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQ", 3, 62, 1, 0, 64)
    header = header.ljust(54, b"\0") + struct.pack("<HH", 56, len(segments))
    rows = [
        struct.pack("<IIQQQQQQ", kind, 4, offset, address, 0, size, size, 1)
        for kind, offset, address, size in segments
    ]
    return header.ljust(64, b"\0") + b"".join(rows) + contents


def versioned(needs: dict[str, tuple[str, ...]]) -> bytes:
    """Return a 64-bit program that needs versions of symbols, by library."""
    names = [*needs, *(version for each in needs.values() for version in each)]
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)

    def place(name: str) -> int:
        return strings.index(b"\0" + name.encode() + b"\0") + 1

    table = b""
    for number, (name, versions) in enumerate(needs.items(), 1):
        following = 16 + 16 * len(versions) if number < len(needs) else 0
        table += struct.pack("<HHIII", 1, len(versions), place(name), 16, following)
        for version in versions:
            table += struct.pack("<IHHII", 0, 0, 2, place(version), 16)
    # The library's segment holds the strings; the table follows them in the same segment.
    begin, size = 64 + 2 * 56, len(strings) + len(table)
    tags = [(5, 0x1000), (0x6FFFFFFE, 0x1000 + len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *tag) for tag in tags)
    return _with_segments(
        [(1, begin, 0x1000, size), (2, begin + size, 0, len(dynamic))], strings + table + dynamic
    )


def printing_program(text: str) -> bytes:
    """Return a minimal amd64 program that prints a text."""
    message, base, begin = text.encode(), 0x400000, 64 + 56
    length = struct.pack("<I", len(message))
    write = (
        b"\xb8\x01\0\0\0\xbf\x01\0\0\0\x48\x8d\x35"
        + struct.pack("<I", 16)
        + b"\xba"
        + length
        + b"\x0f\x05"
    )
    code = write + b"\xb8\x3c\0\0\0\x31\xff\x0f\x05"
    size = begin + len(code) + len(message)
    start = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + begin, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    )
    return start + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096) + code + message


def go_program(
    modules: str = GO_MODULES, machine: int = 62, flags: int = 2, go: str = "go1.26.11"
) -> bytes:
    """An ELF header, padding, and build information as Go 1.18 and later write it."""
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, machine)
    framed = b"\x30" * 16 + modules.encode() + b"\xf9" * 16
    record = b"\xff Go buildinf:" + bytes([8, flags]) + bytes(16)
    return header.ljust(64, b"\0") + record + _variable(go.encode()) + _variable(framed) + bytes(64)


def _variable(data: bytes) -> bytes:
    length, prefix = len(data), bytearray()
    while length >= 0x80:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*prefix, length]) + data
