"""Programs in layers, and the components to which their contents belong."""

import bisect
import mmap
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from worker_images.model.oci import elf
from worker_images.model.oci.image import Entry, Layer

SCRIPT = b"#!"
# The bytes after a text that are compared too.
MARK_BYTES = 256


@dataclass(frozen=True)
class Program:
    """An ELF file, or a script that may be executed.

    `components` are those whose programs contain the same marks. `soname` is a library's own name.
    """

    entry: Entry
    soname: str = ""
    components: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Mark:
    """A text that only the programs of a component contain, and how it may continue."""

    text: bytes
    rest: bytes = b""

    def matches(self, data: mmap.mmap, begin: int) -> bool:
        """Whether the text at a position continues as it must."""
        end = begin + len(self.text)
        return re.match(self.rest, data[end : end + MARK_BYTES]) is not None


def go_main(module: str) -> Mark:
    """The source file of a main package, which Go's tables name; stripping does not remove it."""
    return Mark(module.encode(), rb"(@[^/\0]*)?/([a-z0-9-]+/)*main\.go")


def find(layers: Iterable[Layer], marks: Mapping[str, Iterable[Mark]]) -> Iterator[Program]:
    """Yield the programs in layers.

    A program that is packed or encrypted, or whose texts were overwritten, has no marks.
    """
    for layer in layers:
        if not layer.unpacked:
            continue
        # Mapped, because a program may not fit in the memory that checks may use.
        with (
            layer.tar.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            yield from _of_layer(layer, data, marks)


def _of_layer(
    layer: Layer, data: mmap.mmap, marks: Mapping[str, Iterable[Mark]]
) -> Iterator[Program]:
    files = sorted(
        (entry for entry in layer.entries if entry.kind == "file" and entry.size),
        key=lambda entry: entry.offset,
    )
    owners = _owners(files, data, marks)
    for entry in files:
        head = data[entry.offset : entry.offset + len(elf.ELF)]
        if head == elf.ELF:
            found = frozenset(owners.get(entry.path, ()))
            yield Program(entry, _soname(data, entry.offset), found)
        elif head.startswith(SCRIPT) and entry.mode & 0o111:
            yield Program(entry)


def _owners(
    files: list[Entry], data: mmap.mmap, marks: Mapping[str, Iterable[Mark]]
) -> dict[str, set[str]]:
    """The components whose marks each file contains, by path."""
    begins, found = [entry.offset for entry in files], dict[str, set[str]]()
    for component, each in marks.items():
        for mark in each:
            position = data.find(mark.text)
            while position >= 0:
                number = bisect.bisect_right(begins, position) - 1
                if number >= 0 and mark.matches(data, position):
                    found.setdefault(files[number].path, set()).add(component)
                position = data.find(mark.text, position + 1)
    return found


def _soname(data: mmap.mmap, offset: int) -> str:
    try:
        return elf.dynamic(data, offset).soname
    except elf.ElfError:
        return ""
