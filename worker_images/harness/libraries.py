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


def foreign(image: Image, architecture: str) -> set[str]:
    """Return the ELF files of any layer that are for another architecture."""
    return {
        path
        for layer in image.layers
        for path, data, offset in _programs(layer)
        if elf.machine(data[offset : offset + elf.HEADER_BYTES]) != elf.MACHINES[architecture]
    }


def _of_layer(layer: Layer) -> Iterator[tuple[str, set[str]]]:
    for path, data, offset in _programs(layer):
        yield path, set(elf.dynamic(data, offset).needed)


def _programs(layer: Layer) -> Iterator[tuple[str, mmap.mmap, int]]:
    """Yield the path of each ELF file, and the layer's bytes with the place of the file there."""
    # Mapped, because a program may not fit in the memory that checks may use.
    with (
        layer.tar.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        for entry in layer.entries:
            head = data[entry.offset : entry.offset + len(elf.ELF)]
            if entry.kind == "file" and entry.size and head == elf.ELF:
                yield entry.path, data, entry.offset
