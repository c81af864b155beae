"""A tar in one pass. A tar that two readers may read differently is refused.

Go's archive/tar, which engines use, and Python's tarfile differ in many corners of the format:
repeated extended headers, base-256 numbers, sparse files, sizes of links.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import IO

from worker_images.model.oci.extended import ATTRIBUTE, LONG_LINK, LONG_NAME, PAX, Extended
from worker_images.model.oci.image import Entry, ImageError
from worker_images.model.oci.view import WHITEOUT
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
# Whiteouts of the folder that they are in, or of the one above.
NAMELESS = {WHITEOUT, f"{WHITEOUT}.", f"{WHITEOUT}.."}
# What the entries of an image may take in memory: 700,000 with short names.
MAX_MEMORY, ENTRY_BYTES = 512 << 20, 768
MAX_HEADER_BYTES = 1 << 20
MAX_PATH_BYTES, MAX_DEPTH = 4096, 200
OCTAL = re.compile(rb" *([0-7]+)[ \0]*|[ \0]*")
DECIMAL = re.compile(r"[0-9]{1,18}")
TIME = re.compile(r"-?[0-9]{1,18}(\.[0-9]*)?")


def read(
    tar: IO[bytes], layer: int = 0, *, strict: bool = False, memory: int | None = None
) -> Iterator[Entry]:
    """Yield the members of a tar that begins at the stream's position; raises ImageError.

    `strict` allows only the form that BuildKit writes: POSIX headers, extended by PAX alone.
    `memory` is what its entries may take, in bytes.
    """
    left = MAX_MEMORY if memory is None else memory
    extended = Extended({})
    while any(block := _block(tar)):
        header = _Header(block, strict=strict)
        size = header.number(124, 12)
        if header.type in {PAX, LONG_NAME, LONG_LINK}:
            extended = extended.with_header(header.type, _payload(tar, size))
            continue
        entry = _entry(header, extended.fields, tar.tell(), layer)
        left -= memory_of(entry)
        if left < 0:
            raise ImageError("too many members, or members with too many long names")
        extended = Extended({})
        yield entry
        tar.seek(entry.offset + entry.size)
        if any(tar.read(_padded(entry.size) - entry.size)):
            raise ImageError(f"{printable(entry.path)}: bytes after its end")
    if extended.kinds:
        raise ImageError("an extended header without a member")
    _check_end(tar)


def memory_of(entry: Entry) -> int:
    """About what an entry takes in memory, in bytes."""
    texts = (entry.path, entry.target, *entry.attributes)
    return ENTRY_BYTES + sum(map(len, texts)) + ENTRY_BYTES // 8 * len(entry.attributes)


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
        if any(block[345 if self.gnu else 500 : 512]):
            raise ImageError("a header with fields of an old format")

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


def _entry(header: _Header, fields: Mapping[str, str], offset: int, layer: int) -> Entry:
    kind = KINDS.get(header.type)
    name, target = fields.get("path", header.name), fields.get("linkpath", header.text(157, 100))
    if kind is None:
        raise ImageError(
            f"{printable(name)}: a member of type {header.type.decode('latin-1')!r}, which engines"
            " read differently; build the image with docker buildx"
        )
    size = _decimal(fields, "size", header.number(124, 12))
    if kind != "file" and size:
        raise ImageError(f"{printable(name)}: a {kind} with contents")
    if (kind not in {"link", "hardlink"} and target) or len(target) > MAX_PATH_BYTES:
        raise ImageError(f"{printable(name)}: a {kind} with a target of {len(target)} characters")
    time = fields.get("mtime", "")
    if time and not TIME.fullmatch(time):
        raise ImageError(f"{printable(name)}: invalid time {printable(time)!r}")
    path = _path(name, is_folder=kind == "folder")
    is_whiteout = _is_whiteout(path)
    if is_whiteout and size:
        raise ImageError(f"{printable(path)}: a whiteout with contents")
    names = (key.removeprefix(ATTRIBUTE) for key in fields if key.startswith(ATTRIBUTE))
    return Entry(
        path=path,
        kind="whiteout" if is_whiteout else kind,
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


def _is_whiteout(path: str) -> bool:
    """Whether a path is a whiteout; raises ImageError if only some engines read it so."""
    *folders, name = path.split("/")
    if name in NAMELESS:
        raise ImageError(f"{printable(path)}: a whiteout without a name")
    if any(each.startswith(WHITEOUT) for each in folders):
        raise ImageError(f"{printable(path)}: below a whiteout")
    return name.startswith(WHITEOUT)


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
    if name.count("/") > MAX_DEPTH:
        raise ImageError(f"a name of more than {MAX_DEPTH} folders")
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
