"""The plain bytes of data that may be compressed with gzip."""

import itertools
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from worker_images.model.oci.image import CHUNK, ImageError

GZIP, ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# The plain bytes of all layers: twice the largest images of CUDA frameworks.
MAX_BYTES = 64 << 30
# Beyond the first bytes, only zeros and hostile data are compressed to less than 1/100.
UNCHECKED_BYTES, MAX_RATIO = 4 << 30, 100
# One gzip member with a header, and its flags byte.
ONE_MEMBER, FLAGS = 31, 3


@dataclass
class Meter:
    """What was read of an archive, and what it unpacked to, in bytes.

    `archive` is the size of its file, which may be compressed in addition to its layers.
    """

    archive: int
    shipped: int = 0
    unpacked: int = 0

    def inflated(self, chunks: Iterable[bytes], *, strict: bool = False) -> Iterator[bytes]:
        """The plain bytes of a layer: of one gzip member, or as they are; raises ImageError."""
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
        raise ImageError("compressed with zstd; build the image with gzip layers")
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
