"""The dynamic loader's cache: read strictly, and made again from the libraries of an image.

The format is struct cache_file_new in sysdeps/generic/dl-cache.h of glibc.
"""

import contextlib
import re
import struct
from collections.abc import Iterator

from worker_images.model.oci import elf
from worker_images.model.oci.image import Image, ImageError

PATH = "/etc/ld.so.cache"
CONFIGURATION = "/etc/ld.so.conf.d"
# Folders that ldconfig reads after those of the configuration.
DEFAULT = ("/lib", "/usr/lib")
MAGIC, LITTLE_ENDIAN = b"glibc-ld.so.cache1.1", 2
HEADER, ROW = struct.Struct("<20sIIB3xI12x"), struct.Struct("<iIIIQ")
# Tables after the strings: a magic number, one table, its kind, flags, offset and size.
EXTENSION, EXTENSION_MAGIC = struct.Struct("<6I"), 0xEAA42174
GENERATOR = re.compile(rb"ldconfig \([ -~]+\) [a-z ]*version [0-9.]+")
MAX_BYTES = 16 << 20
# A library for this architecture, from ldconfig's flags.
FLAGS = {"amd64": 0x303, "arm64": 0xA03}

Library = tuple[str, str]


def read(data: bytes, architecture: str) -> set[Library]:
    """Return the name and the path of each library; raises ImageError for any other content."""
    try:
        magic, count, length, order, extension = HEADER.unpack_from(data)
        begin = HEADER.size + count * ROW.size
        if (magic, order) != (MAGIC, LITTLE_ENDIAN) or begin + length > len(data):
            raise ImageError(f"{PATH}: not a cache of glibc")
        rows = [ROW.unpack_from(data, HEADER.size + ROW.size * row) for row in range(count)]
        _check_extension(data, begin + length, extension)
    except struct.error as error:
        raise ImageError(f"{PATH}: truncated: {error}") from error
    if {(flags, version, hardware) for flags, _, _, version, hardware in rows} - {
        (FLAGS[architecture], 0, 0)
    }:
        raise ImageError(f"{PATH}: contains libraries of another kind or architecture")
    texts: dict[int, str] = {}
    length_of_texts = 0
    for place in {place for row in rows for place in row[1:3]}:
        texts[place] = _text(data, place)
        length_of_texts += len(texts[place])
        # The names of many libraries may be parts of one text.
        if length_of_texts > MAX_BYTES:
            raise ImageError(f"{PATH}: contains names of more than {MAX_BYTES} bytes")
    used = {each for place, text in texts.items() for each in range(place, place + len(text) + 1)}
    if used != set(range(begin, begin + length)):
        raise ImageError(f"{PATH}: contains bytes that do not belong to a library")
    found = [(texts[key], texts[value]) for _, key, value, _, _ in rows]
    if len(set(found)) < len(found):
        raise ImageError(f"{PATH}: contains a library twice")
    return set(found)


def _check_extension(data: bytes, end: int, begin: int) -> None:
    magic, tables, kind, flags, offset, size = EXTENSION.unpack_from(data, begin)
    known = (magic, tables, kind, flags) == (EXTENSION_MAGIC, 1, 0, 0)
    is_last = offset == begin + EXTENSION.size and offset + size == len(data)
    padding = data[end:begin]
    if not (known and is_last and GENERATOR.fullmatch(data[offset:])) or padding.strip(b"\0"):
        raise ImageError(f"{PATH}: unknown bytes after its libraries")


def _text(data: bytes, place: int) -> str:
    end = data.find(b"\0", place)
    if place >= len(data) or end < 0:
        raise ImageError(f"{PATH}: contains a name that ends outside the file")
    return data[place:end].decode(errors="surrogateescape")


def made(image: Image, layers: set[int]) -> set[Library]:
    """Return what ldconfig writes where only these layers are."""
    return {
        (name, f"{shown}/{name}")
        for shown, folder in _folders(image, layers)
        for name in _libraries(image, layers, folder)
    }


def _folders(image: Image, layers: set[int]) -> Iterator[tuple[str, str]]:
    """Yield each folder as it is written in the configuration, and its own path, once."""
    known = set()
    for line in (*_configured(image, layers), *DEFAULT):
        folder = image.find(line)
        if folder and folder.path not in known:
            known.add(folder.path)
            yield line, folder.path


def _configured(image: Image, layers: set[int]) -> Iterator[str]:
    files = [path for path in image.merged if path.startswith(f"{CONFIGURATION}/")]
    for path in sorted(files):
        entry = image.merged[path]
        lines = image.read(entry).decode().splitlines() if entry.layer in layers else []
        yield from filter(None, (line.partition("#")[0].strip() for line in lines))


def _libraries(image: Image, layers: set[int], folder: str) -> Iterator[str]:
    """Yield the names of libraries in a folder: of files, and of links, that are SONAMEs."""
    for path, entry in image.merged.items():
        parent, _, name = path.rpartition("/")
        if parent != folder or entry.layer not in layers or ".so" not in name:
            continue
        target = image.find(path)
        if target and target.kind == "file" and target.layer in layers:
            with contextlib.suppress(elf.ElfError):
                if elf.dynamic(image.read(target)).soname == name:
                    yield name
