"""Find the shared libraries that programs need and the image lacks."""

import mmap
from collections.abc import Iterator
from pathlib import PurePosixPath

from worker_images.model.oci import elf
from worker_images.model.oci.image import Image, Layer


def needed(image: Image) -> dict[str, set[str]]:
    """Return the libraries that each ELF file of any layer needs, by its path."""
    return {path: names for layer in image.layers for path, names in _of_layer(layer)}


def missing(image: Image) -> dict[str, set[str]]:
    """Return the needed libraries that are nowhere below /usr, by the path that needs them."""
    held = {PurePosixPath(path).name for path in image.merged if path.startswith("/usr/")}
    return {path: absent for path, names in needed(image).items() if (absent := names - held)}


def _of_layer(layer: Layer) -> Iterator[tuple[str, set[str]]]:
    # Mapped, because a program may not fit in the memory that checks may use.
    with (
        layer.tar.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        for entry in layer.entries:
            head = data[entry.offset : entry.offset + len(elf.ELF)]
            if entry.kind == "file" and entry.size and head == elf.ELF:
                yield entry.path, set(elf.dynamic(data, entry.offset).needed)
