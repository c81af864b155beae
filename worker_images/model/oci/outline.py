"""The layers of an image archive, without their entries."""

from dataclasses import dataclass
from pathlib import Path

from worker_images.model.oci import config, manifest
from worker_images.model.oci.files import open_archive
from worker_images.model.oci.image import ImageError
from worker_images.model.oci.inflate import Meter


@dataclass(frozen=True)
class Outline:
    """An image ID, each layer's diffID and unpacked size, and the download size, in bytes."""

    image_id: str
    layers: tuple[tuple[str, int], ...]
    download: int


def outline(archive: Path) -> Outline:
    """Read the outline of an archive; raises ImageError."""
    with open_archive(archive) as files:
        found = manifest.read(files)
        named = config.diff_ids(found.config)
        if len(named) != len(found.layers):
            raise ImageError(f"{len(named)} layers are named, but the archive has another number")
        meter = Meter(files.size_on_disk)
        sizes = [sum(map(len, meter.inflated(files.chunks(name)))) for name in found.layers]
        download = sum(files.size(name) for name in found.layers)
        return Outline(found.digests[-1], tuple(zip(named, sizes, strict=True)), download)
