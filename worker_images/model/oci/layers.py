"""Layers of an image archive: unpacked once, with digests and sizes of both forms."""

import hashlib
import itertools
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from worker_images.model.oci import tar
from worker_images.model.oci.files import BLOBS, GZIP, Files
from worker_images.model.oci.image import CHUNK, ImageError, Layer
from worker_images.untrusted import printable

ZSTANDARD = b"\x28\xb5\x2f\xfd"
# The unpacked bytes of all layers: twice the largest images of CUDA frameworks.
MAX_BYTES = 64 << 30
# One gzip member with a header, and its flags byte.
ONE_MEMBER, FLAGS = 31, 3


def unpack(files: Files, names: Iterable[str], scratch: Path, *, strict: bool) -> tuple[Layer, ...]:
    """Unpack layers below `scratch` and read their entries; raises ImageError."""
    found: list[Layer] = []
    for number, name in enumerate(names):
        left = MAX_BYTES - sum(layer.unpacked for layer in found)
        path = scratch / f"layer-{number}.tar"
        try:
            found.append(_layer(files, name, number, path, left, strict=strict))
        except ImageError as error:
            raise ImageError(f"layer {printable(name)}: {error}") from error
    return tuple(found)


def _layer(files: Files, name: str, number: int, path: Path, most: int, *, strict: bool) -> Layer:
    shipped, unpacked, size = hashlib.sha256(), hashlib.sha256(), 0
    with path.open("wb") as plain:
        for piece in decompressed(_hashed(files.chunks(name), shipped), strict=strict):
            size += len(piece)
            if size > most:
                raise ImageError(f"the image unpacks to more than {MAX_BYTES >> 30} GiB")
            unpacked.update(piece)
            plain.write(piece)
    if name.startswith(BLOBS) and name.removeprefix(BLOBS) != shipped.hexdigest():
        raise ImageError("its bytes do not match its digest")
    with path.open("rb") as stream:
        entries = tuple(
            each for each in tar.read(stream, number, strict=strict) if each.path != "/"
        )
    if len({entry.path for entry in entries}) != len(entries):
        raise ImageError("duplicate paths")
    return Layer(
        digest=f"sha256:{shipped.hexdigest()}",
        size=files.size(name),
        tar=path,
        entries=entries,
        diff_id=f"sha256:{unpacked.hexdigest()}",
        unpacked=size,
    )


def _hashed(chunks: Iterable[bytes], total: "hashlib._Hash") -> Iterator[bytes]:
    for piece in chunks:
        total.update(piece)
        yield piece


def decompressed(chunks: Iterable[bytes], *, strict: bool = False) -> Iterator[bytes]:
    """The plain bytes of a layer: of one gzip member, or as they are; raises ImageError."""
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
            raise ImageError("data behind its gzip member")
    if not member.eof:
        raise ImageError("its gzip member is cut off")
