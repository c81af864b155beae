"""Layers of an image archive: unpacked once, with digests and sizes of both forms."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.files import named_errors
from worker_images.model.oci import tar
from worker_images.model.oci.files import BLOBS, Files
from worker_images.model.oci.image import ImageError, Layer
from worker_images.model.oci.inflate import Meter
from worker_images.untrusted import printable

# What engines stack.
MAX_LAYERS = 127


@dataclass
class _Limits:
    """What the layers of an image share: a meter, and the memory for their entries, in bytes."""

    meter: Meter
    memory: int = tar.MAX_MEMORY


def unpack(files: Files, names: Sequence[str], scratch: Path, *, strict: bool) -> tuple[Layer, ...]:
    """Unpack layers below `scratch` and read their entries; raises ImageError."""
    found: list[Layer] = []
    limits = _Limits(Meter(files.size_on_disk))
    if len(names) > MAX_LAYERS:
        raise ImageError(f"{len(names)} layers, at most {MAX_LAYERS} are read")
    for number, name in enumerate(names):
        path = scratch / f"layer-{number}.tar"
        try:
            layer = _layer(files, name, number, path, limits, strict=strict)
        except ImageError as error:
            raise ImageError(f"layer {printable(name)}: {error}") from error
        found.append(layer)
        limits.memory -= sum(map(tar.memory_of, (*layer.root, *layer.entries)))
    return tuple(found)


def _layer(
    files: Files, name: str, number: int, path: Path, limits: _Limits, *, strict: bool
) -> Layer:
    shipped, unpacked, size = hashlib.sha256(), hashlib.sha256(), 0
    with named_errors(path), path.open("wb") as plain:
        for piece in limits.meter.inflated(_hashed(files.chunks(name), shipped), strict=strict):
            size += len(piece)
            unpacked.update(piece)
            plain.write(piece)
    if name.startswith(BLOBS) and name.removeprefix(BLOBS) != shipped.hexdigest():
        raise ImageError("its bytes do not match its digest")
    with path.open("rb") as stream:
        members = tuple(tar.read(stream, number, strict=strict, memory=limits.memory))
    entries = tuple(each for each in members if each.path != "/")
    if len({entry.path for entry in entries}) != len(entries):
        raise ImageError("duplicate paths")
    return Layer(
        digest=f"sha256:{shipped.hexdigest()}",
        size=files.size(name),
        tar=path,
        entries=entries,
        diff_id=f"sha256:{unpacked.hexdigest()}",
        unpacked=size,
        root=tuple(each for each in members if each.path == "/"),
    )


def _hashed(chunks: Iterable[bytes], total: "hashlib._Hash") -> Iterator[bytes]:
    for piece in chunks:
        total.update(piece)
        yield piece
