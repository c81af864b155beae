"""The plain bytes of data that may be compressed with gzip or zstd."""

import contextlib
import importlib
import itertools
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from worker_images.model.oci.image import CHUNK, ImageError

Compression = Literal["gzip", "zstd"]
GZIP, ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# The plain bytes of all layers: twice the largest images of CUDA frameworks.
MAX_BYTES = 64 << 30
# Beyond the first bytes, only zeros and hostile data are compressed to less than 1/100.
UNCHECKED_BYTES, MAX_RATIO = 4 << 30, 100
# One gzip member with a header, and its flags byte.
ONE_MEMBER, FLAGS = 31, 3
# Readers of zstd: of Python 3.14, and the package for older ones, which nodes may lack.
READERS = ("compression.zstd", "backports.zstd")


@dataclass
class Meter:
    """What was read of an archive, and what it unpacked to, in bytes.

    `archive` is the size of its file, which may be compressed in addition to its layers.
    """

    archive: int
    shipped: int = 0
    unpacked: int = 0

    def inflated(self, chunks: Iterable[bytes], *, strict: bool = False) -> Iterator[bytes]:
        """The plain bytes of a layer: of one gzip member or zstd frame, or as they are.

        Raises ImageError.
        """
        for piece in _plain(self._read(chunks), strict=strict):
            self.unpacked += len(piece)
            if self.unpacked > MAX_BYTES:
                raise ImageError(f"the image unpacks to more than {MAX_BYTES >> 30} GiB")
            read = min(self.shipped, self.archive)
            if self.unpacked > max(UNCHECKED_BYTES, MAX_RATIO * read):
                raise ImageError(
                    f"{read} bytes of the image unpack to {self.unpacked}; more than"
                    f" {UNCHECKED_BYTES >> 30} GiB must be compressed to 1/{MAX_RATIO} or more"
                )
            yield piece

    def _read(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for piece in chunks:
            self.shipped += len(piece)
            yield piece


def _plain(chunks: Iterable[bytes], *, strict: bool) -> Iterator[bytes]:
    pieces = iter(chunks)
    first = next(pieces, b"")
    if first.startswith(ZSTANDARD):
        yield from _of_frame(itertools.chain([first], pieces), zstandard())
        return
    if not first.startswith(GZIP):
        yield first
        yield from pieces
        return
    if strict and first[FLAGS]:
        raise ImageError("a gzip header with a name, a comment or other fields")
    try:
        yield from _inflated(itertools.chain([first], pieces))
    except zlib.error as error:
        raise ImageError(f"not valid gzip: {error}") from error


def _inflated(pieces: Iterable[bytes]) -> Iterator[bytes]:
    member = zlib.decompressobj(ONE_MEMBER)
    for piece in pieces:
        rest = piece
        while rest and not member.eof:
            yield member.decompress(rest, CHUNK)
            rest = member.unconsumed_tail
        if member.unused_data or rest:
            raise ImageError("data after its gzip member, as in eStargz; use compression=gzip")
    if not member.eof:
        raise ImageError("its gzip member is cut off")


def zstandard() -> ModuleType:
    """The module that reads and writes zstd; raises ImageError."""
    for name in READERS:
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise ImageError(
        "compressed with zstd, which this Python cannot read; use Python 3.14 or later, install"
        " the Python package backports.zstd, or build the image with --compression gzip"
    )


def _of_frame(pieces: Iterable[bytes], reader: ModuleType) -> Iterator[bytes]:
    """The plain bytes of one zstd frame; its window is at most 128 MiB, the reader's default."""
    frame = reader.ZstdDecompressor()
    try:
        for piece in pieces:
            rest = piece
            while not frame.eof and (rest or not frame.needs_input):
                yield frame.decompress(rest, CHUNK)
                rest = b""
            if frame.unused_data or rest:
                raise ImageError(
                    "data after its zstd frame, as in zstd:chunked; use compression=zstd"
                )
    except reader.ZstdError as error:
        raise ImageError(f"not valid zstd: {error}") from error
    if not frame.eof:
        raise ImageError("its zstd frame is cut off")
