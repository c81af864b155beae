"""An image archive's layers without their entries."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from worker_images.model.oci.archive import diff_ids, open_archive, read_manifest, size_of
from worker_images.model.oci.image import CHUNK


@dataclass(frozen=True)
class Outline:
    """An image ID, each layer's diffID and unpacked bytes, and what a node downloads, in bytes."""

    image_id: str
    layers: tuple[tuple[str, int], ...]
    download: int


def outline(archive: Path) -> Outline:
    """An archive without its entries; raises ImageError."""
    with open_archive(archive) as files:
        digests, config, names = read_manifest(files)
        rows = tuple(
            (diff_id, _unpacked(files[name]))
            for diff_id, name in zip(diff_ids(config), names, strict=True)
        )
        return Outline(digests[-1], rows, sum(size_of(files[name]) for name in names))


def _unpacked(stream: IO[bytes]) -> int:
    """Bytes of a layer's tar."""
    plain = gzip.GzipFile(fileobj=stream)
    size = sum(len(piece) for piece in iter(lambda: plain.read(CHUNK), b""))
    stream.seek(0)
    return size
