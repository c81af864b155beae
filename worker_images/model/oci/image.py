"""An image as values: the entries of its layers, the merged view, the configuration."""

import functools
import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from worker_images.model.oci import view

CHUNK = 1 << 20
# Where links lead in a circle; no entry has such a path.
LOOP = PurePosixPath("/..")


class ImageError(Exception):
    """The archive is not an image, or its bytes do not match its digests."""


@dataclass(frozen=True)
class Entry:
    """A path in a layer. Kinds: file, folder, link, hardlink, device, fifo, whiteout."""

    path: str
    kind: str
    mode: int
    size: int
    target: str
    time: float
    layer: int
    offset: int
    user: int
    group: int
    attributes: tuple[str, ...]


def plain(path: str, kind: str, rights: str = "0777", target: str = "") -> Entry:
    """An entry without contents, as an expectation describes it.

    `rights` are a mode, and user and group if they are not root: 0640 0:42.
    """
    mode, _, owner = rights.partition(" ")
    user, _, group = (owner or "0:0").partition(":")
    return Entry(path, kind, int(mode, 8), 0, target, 0, 0, 0, int(user), int(group), ())


@dataclass(frozen=True)
class Layer:
    """A layer: digest and size as shipped, its tar on disk with entries in order.

    `diff_id` and `unpacked` are the digest and size of the tar. `root` are its entries for /, which
    are not among the others.
    """

    digest: str
    size: int
    tar: Path
    entries: tuple[Entry, ...] = field(repr=False)
    diff_id: str = ""
    unpacked: int = 0
    root: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Image:
    """An image as a registry serves it.

    `digests` are those by which engines name it; the manifest's digest comes first. `documents` are
    the manifest and the indexes around it, whose annotations are shipped with the image.
    """

    digests: tuple[str, ...]
    config: Mapping[str, object] = field(repr=False)
    layers: tuple[Layer, ...]
    documents: tuple[Mapping[str, object], ...] = field(default=(), repr=False)

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return self.digests[0]

    @property
    def image_id(self) -> str:
        """The configuration's digest, which is the image's identity on every engine."""
        return self.digests[-1]

    @property
    def size(self) -> int:
        """The size of all unpacked layers, in bytes."""
        return sum(layer.unpacked for layer in self.layers)

    @property
    def settings(self) -> Mapping[str, object]:
        """The part of the configuration that containers use."""
        found = self.config.get("config")
        return found if isinstance(found, dict) else {}

    @property
    def environment(self) -> list[str]:
        """The environment variables, as NAME=value."""
        found = self.settings.get("Env")
        return found if isinstance(found, list) else []

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels; an image may have none."""
        found = self.settings.get("Labels")
        return found if isinstance(found, dict) else {}

    @property
    def history(self) -> list[dict[str, Any]]:
        """The steps that created the image; an image may have none."""
        found = self.config.get("history")
        return found if isinstance(found, list) else []

    @property
    def entries(self) -> Iterator[Entry]:
        """All entries of all layers, including files that a later layer hides."""
        for layer in self.layers:
            yield from layer.entries

    @functools.cached_property
    def merged(self) -> dict[str, Entry]:
        """The entries that a container sees, by path."""
        return view.merged(layer.entries for layer in self.layers)

    def find(self, path: str) -> Entry | None:
        """The entry at an absolute path, with symbolic links followed; None if there is none."""
        return self.merged.get(self.resolve(path))

    def resolve(self, path: str) -> str:
        """An absolute path with symbolic links followed, also where nothing is."""
        return str(_walk(self.merged, PurePosixPath(path), 0))

    def instruction(self, layer: int) -> str:
        """The instruction that created a layer, from the image's history."""
        return self._steps[layer] if layer < len(self._steps) else "an unrecorded step"

    @functools.cached_property
    def _steps(self) -> list[str]:
        return [
            str(step.get("created_by", "")) for step in self.history if not step.get("empty_layer")
        ]

    def contents(self, entry: Entry) -> Iterator[bytes]:
        """The contents of a file, or of a hard link's target, in chunks.

        Raises ImageError for other kinds.
        """
        source = self._source(entry)
        with self.layers[source.layer].tar.open("rb") as tar:
            tar.seek(source.offset)
            for begin in range(0, source.size, CHUNK):
                yield tar.read(min(CHUNK, source.size - begin))

    def read(self, entry: Entry, most: int | None = None) -> bytes:
        """The contents of a file, held in memory once; raises ImageError for more than `most`."""
        source = self._source(entry)
        if most is not None and source.size > most:
            raise ImageError(f"{entry.path}: {source.size} bytes, at most {most} are read")
        with self.layers[source.layer].tar.open("rb") as tar:
            tar.seek(source.offset)
            return tar.read(source.size)

    @functools.cached_property
    def _by_path(self) -> list[dict[str, Entry]]:
        return [{entry.path: entry for entry in layer.entries} for layer in self.layers]

    def _source(self, entry: Entry) -> Entry:
        """The entry that holds the contents of a file or hard link."""
        source = entry
        if entry.kind == "hardlink":
            source = self._by_path[entry.layer].get(entry.target, entry)
        if source.kind != "file":
            raise ImageError(f"{entry.path} is a {source.kind}, not a file")
        return source

    def sha256(self, entry: Entry) -> str:
        """The digest of a file's contents, in hexadecimal."""
        total = hashlib.sha256()
        for piece in self.contents(entry):
            total.update(piece)
        return total.hexdigest()

    def extract(self, entry: Entry, target: Path) -> None:
        """Copy the contents of a file to a path."""
        with target.open("wb") as copy:
            copy.writelines(self.contents(entry))


def _walk(view: Mapping[str, Entry], path: PurePosixPath, depth: int) -> PurePosixPath:
    if depth > 40:
        return LOOP
    for part in (*reversed(path.parents), path):
        entry = view.get(str(part))
        # A layer need not hold the folders above its files.
        if entry and entry.kind == "link":
            target = posixpath.normpath(part.parent / entry.target).lstrip("/")
            return _walk(view, PurePosixPath("/", target, path.relative_to(part)), depth + 1)
    return path
