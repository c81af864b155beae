"""A tar in one pass. A tar that two readers may read differently is refused.

Go's archive/tar, which engines use, and Python's tarfile differ in many corners of the format:
repeated extended headers, base-256 numbers, sparse files, sizes of links.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from worker_images.model.oci.image import WHITEOUT, Entry, ImageError
from worker_images.untrusted import printable

BLOCK = 512
POSIX, GNU = b"ustar\x0000", b"ustar  \x00"
KINDS = {
    b"0": "file",
    b"\x00": "file",
    b"1": "hardlink",
    b"2": "link",
    b"3": "device",
    b"4": "device",
    b"5": "folder",
    b"6": "fifo",
}
PAX, LONG_NAME, LONG_LINK = b"x", b"L", b"K"
ATTRIBUTE = "SCHILY.xattr."
FIELDS = {"path", "linkpath", "size", "mtime", "atime", "ctime", "uid", "gid", "uname", "gname"}
# Whiteouts of the folder that they are in, or of the one above.
NAMELESS = {WHITEOUT, f"{WHITEOUT}.", f"{WHITEOUT}.."}
MAX_MEMBERS = 2_000_000
MAX_HEADER_BYTES = 1 << 20
MAX_PATH_BYTES = 4096
OCTAL = re.compile(rb" *([0-7]+)[ \0]*|[ \0]*")
DECIMAL = re.compile(r"[0-9]{1,18}")
TIME = re.compile(r"-?[0-9]{1,18}(\.[0-9]*)?")


@dataclass(frozen=True)
class _Extended:
    """The headers before a member that extend its own: from PAX, or GNU's long names."""

    fields: Mapping[str, str]
    kinds: frozenset[bytes] = frozenset()


def read(tar: IO[bytes], layer: int = 0, *, strict: bool = False) -> Iterator[Entry]:
    """Yield the members of a tar that begins at the stream's position; raises ImageError.

    `strict` allows only the form that BuildKit writes: POSIX headers, extended by PAX alone.
    """
    extended = _Extended({})
    members = 0
    while any(block := _block(tar)):
        header = _Header(block, strict=strict)
        size = header.number(124, 12)
        if header.type in {PAX, LONG_NAME, LONG_LINK}:
            extended = _extend(extended, header, _payload(tar, size))
            continue
        members += 1
        if members > MAX_MEMBERS:
            raise ImageError(f"more than {MAX_MEMBERS} members")
        entry = _entry(header, extended.fields, tar.tell(), layer)
        extended = _Extended({})
        yield entry
        tar.seek(entry.offset + _padded(entry.size))
    if extended.kinds:
        raise ImageError("an extended header without a member")
    _check_end(tar)


def _block(tar: IO[bytes]) -> bytes:
    block = tar.read(BLOCK)
    if len(block) < BLOCK:
        raise ImageError("not a tar, or cut off: it has no end mark")
    return block


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _payload(tar: IO[bytes], size: int) -> bytes:
    if size > MAX_HEADER_BYTES:
        raise ImageError(f"an extended header of {size} bytes, at most {MAX_HEADER_BYTES} are read")
    data = tar.read(_padded(size))
    if len(data) < _padded(size) or any(data[size:]):
        raise ImageError("an extended header that is cut off or padded with data")
    return data[:size]


def _check_end(tar: IO[bytes]) -> None:
    """Refuse bytes other than zeros after the end mark."""
    while piece := tar.read(1 << 20):
        if piece.strip(b"\0"):
            raise ImageError("trailing data after its end")


class _Header:
    """One header block, with its checksum checked."""

    def __init__(self, block: bytes, *, strict: bool) -> None:
        self.block = block
        self.type = block[156:157]
        magic = block[257:265]
        if magic not in ({POSIX} if strict else {POSIX, GNU}):
            raise ImageError("a header that is neither POSIX nor GNU")
        self.gnu = magic == GNU
        if strict and self.type in {LONG_NAME, LONG_LINK, b"\x00"}:
            raise ImageError(f"a header of type {self.type!r}")
        blank = block[:148] + b" " * 8 + block[156:]
        if sum(blank) != self.number(148, 8):
            raise ImageError("a header with a wrong checksum, or not a tar")
        # Readers disagree on what these bytes mean in GNU's format.
        if self.gnu and any(block[345:512]):
            raise ImageError("a GNU header with old fields")

    def number(self, begin: int, length: int) -> int:
        """An octal field. Base-256 and negative numbers are refused."""
        found = OCTAL.fullmatch(self.block[begin : begin + length])
        if not found:
            raise ImageError(f"a number that is not octal: {self.block[begin : begin + length]!r}")
        return int(found[1] or b"0", 8)

    def text(self, begin: int, length: int) -> str:
        """A field that ends at its first NUL; bytes after it are refused."""
        text, _, rest = self.block[begin : begin + length].partition(b"\0")
        if rest.strip(b"\0"):
            raise ImageError("a name with bytes after its end")
        return text.decode(errors="surrogateescape")

    @property
    def name(self) -> str:
        """The name, with the prefix of a POSIX header."""
        prefix = "" if self.gnu else self.text(345, 155)
        return f"{prefix}/{self.text(0, 100)}" if prefix else self.text(0, 100)


def _extend(before: _Extended, header: _Header, data: bytes) -> _Extended:
    if header.type in before.kinds or (before.kinds and PAX in {header.type, *before.kinds}):
        raise ImageError("two extended headers for one member")
    if header.type == PAX:
        fields = _pax(data)
    else:
        key = "path" if header.type == LONG_NAME else "linkpath"
        text = data.removesuffix(b"\0")
        if b"\0" in text:
            raise ImageError("a long name with bytes after its end")
        fields = {key: text.decode(errors="surrogateescape")}
    return _Extended({**before.fields, **fields}, before.kinds | {header.type})


def _pax(data: bytes) -> dict[str, str]:
    """The records of a PAX header: a length, a space, KEY=VALUE and a newline."""
    fields: dict[str, str] = {}
    while data:
        length = re.match(rb"[1-9][0-9]{0,6} ", data)
        record = data[: int(length[0])] if length else b""
        key, found, value = record[length.end() : -1].partition(b"=") if length else (b"", b"", b"")
        if not found or record[-1:] != b"\n" or (length and len(record) < int(length[0])):
            raise ImageError("an extended header that is not valid")
        name = key.decode(errors="replace")
        if name not in FIELDS and not name.startswith(ATTRIBUTE):
            raise ImageError(
                f"an extended header {printable(name)!r}; engines may read another path"
            )
        if name in fields or (b"\0" in value and name in FIELDS):
            raise ImageError(f"an extended header with an ambiguous {printable(name)}")
        fields[name] = value.decode(errors="surrogateescape")
        data = data[len(record) :]
    return fields


def _entry(header: _Header, fields: Mapping[str, str], offset: int, layer: int) -> Entry:
    kind = KINDS.get(header.type)
    name, target = fields.get("path", header.name), fields.get("linkpath", header.text(157, 100))
    if kind is None:
        raise ImageError(f"{printable(name)}: a member of type {header.type!r}")
    size = _decimal(fields, "size", header.number(124, 12))
    if kind != "file" and size:
        raise ImageError(f"{printable(name)}: a {kind} with contents")
    if kind not in {"link", "hardlink"} and target:
        raise ImageError(f"{printable(name)}: a {kind} with a target")
    time = fields.get("mtime", "")
    if time and not TIME.fullmatch(time):
        raise ImageError(f"{printable(name)}: invalid time {printable(time)!r}")
    path = _path(name, is_folder=kind == "folder")
    if path.rpartition("/")[2] in NAMELESS:
        raise ImageError(f"{printable(path)}: a whiteout without a name")
    names = (key.removeprefix(ATTRIBUTE) for key in fields if key.startswith(ATTRIBUTE))
    return Entry(
        path=path,
        kind="whiteout" if path.rpartition("/")[2].startswith(WHITEOUT) else kind,
        mode=header.number(100, 8),
        size=size,
        target=_path(target, is_folder=False) if kind == "hardlink" else target,
        time=float(time) if time else float(header.number(136, 12)),
        layer=layer,
        offset=offset,
        user=_decimal(fields, "uid", header.number(108, 8)),
        group=_decimal(fields, "gid", header.number(116, 8)),
        attributes=tuple(sorted(names)),
    )


def _decimal(fields: Mapping[str, str], key: str, default: int) -> int:
    text = fields.get(key)
    if text is None:
        return default
    if not DECIMAL.fullmatch(text):
        raise ImageError(f"{key} {printable(text)!r} in an extended header")
    return int(text)


def _path(name: str, *, is_folder: bool) -> str:
    """A name as an absolute path; / for the root itself. Raises ImageError if it is ambiguous."""
    if len(name.encode(errors="surrogateescape")) > MAX_PATH_BYTES:
        raise ImageError(f"a name of more than {MAX_PATH_BYTES} bytes")
    inside = (
        name.removeprefix(".").removeprefix("/") if name[:2] == "./" else name.removeprefix("/")
    )
    if is_folder:
        inside = inside.removesuffix("/")
        if inside in {"", "."}:
            return "/"
    path = f"/{inside}"
    if posixpath.normpath(path) != path or inside.startswith("/") or not inside:
        raise ImageError(f"{printable(name)!r} is ambiguous; engines may read another path")
    return path
