"""An image as values: every layer's entries, the merged view that a container sees, the
configuration.
"""

import functools
import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
CHUNK = 1 << 20


class ImageError(Exception):
    """The archive is not an image, or its bytes are not what it says."""


@dataclass(frozen=True)
class Entry:
    """One path of one layer. Kinds: file, folder, link, hardlink, device, fifo, whiteout."""

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
    """A path as an expectation writes it.

    Rights are a mode, and a user and group where they are not root: 0640 0:42.
    """
    mode, _, owner = rights.partition(" ")
    user, _, group = (owner or "0:0").partition(":")
    return Entry(path, kind, int(mode, 8), 0, target, 0, 0, 0, int(user), int(group), ())


@dataclass(frozen=True)
class Layer:
    """One layer: digest and bytes as shipped, its tar on disk with entries in order, and the tar's
    digest and bytes.
    """

    digest: str
    size: int
    tar: Path
    entries: tuple[Entry, ...] = field(repr=False)
    diff_id: str = ""
    unpacked: int = 0


@dataclass(frozen=True)
class Image:
    """What a registry would serve.

    Its own digest is the first of those that an engine may name it by.
    """

    digests: tuple[str, ...]
    config: Mapping[str, object] = field(repr=False)
    layers: tuple[Layer, ...]

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return self.digests[0]

    @property
    def image_id(self) -> str:
        """The configuration's digest, which names the unpacked layers: the image's identity on
        every engine.
        """
        return self.digests[-1]

    @property
    def size(self) -> int:
        """Bytes of unpacked layers."""
        return sum(layer.unpacked for layer in self.layers)

    @property
    def settings(self) -> Mapping[str, object]:
        """The part of the configuration that a container starts with."""
        found = self.config.get("config")
        return found if isinstance(found, dict) else {}

    @property
    def entries(self) -> Iterator[Entry]:
        """Every entry of every layer, also of files that a later layer hides."""
        for layer in self.layers:
            yield from layer.entries

    @functools.cached_property
    def merged(self) -> dict[str, Entry]:
        """What a container sees: later layers win, whiteouts hide."""
        view: dict[str, Entry] = {}
        for layer in self.layers:
            # A whiteout hides what lies below its layer, never what stands beside it.
            for whiteout in (entry for entry in layer.entries if entry.kind == "whiteout"):
                _hide(view, whiteout)
            for entry in (entry for entry in layer.entries if entry.kind != "whiteout"):
                if entry.kind != "folder":
                    _drop_below(view, entry.path)
                view[entry.path] = entry
        return view

    def find(self, path: str) -> Entry | None:
        """The entry a container opens at an absolute path, through symbolic links.

        None where there is none.
        """
        return _walk(self.merged, PurePosixPath(path), 0)

    def instruction(self, layer: int) -> str:
        """The instruction that made a layer, by the image's own history."""
        history = self.config.get("history")
        made = (
            [step.get("created_by", "") for step in history if not step.get("empty_layer")]
            if isinstance(history, list)
            else []
        )
        return made[layer] if layer < len(made) else "an unrecorded step"

    def contents(self, entry: Entry) -> Iterator[bytes]:
        """The contents of a file, or of what a hard link names, in pieces.

        Raises ImageError for anything else.
        """
        source = self._source(entry)
        with self.layers[source.layer].tar.open("rb") as tar:
            tar.seek(source.offset)
            for begin in range(0, source.size, CHUNK):
                yield tar.read(min(CHUNK, source.size - begin))

    def read(self, entry: Entry) -> bytes:
        """The contents of a file as a whole, held in memory once."""
        source = self._source(entry)
        with self.layers[source.layer].tar.open("rb") as tar:
            tar.seek(source.offset)
            return tar.read(source.size)

    def _source(self, entry: Entry) -> Entry:
        """The entry whose contents a file, or a hard link, has."""
        source = entry
        if entry.kind == "hardlink":
            same = (
                each
                for each in self.layers[entry.layer].entries
                if each.path == entry.target and each.kind == "file"
            )
            source = next(same, entry)
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


def _hide(view: dict[str, Entry], whiteout: Entry) -> None:
    folder, _, name = whiteout.path.rpartition("/")
    if name == OPAQUE:
        _drop_below(view, folder)
    else:
        hidden = f"{folder}/{name.removeprefix(WHITEOUT)}"
        view.pop(hidden, None)
        _drop_below(view, hidden)


def _drop_below(view: dict[str, Entry], folder: str) -> None:
    for path in [path for path in view if path.startswith(f"{folder}/")]:
        del view[path]


def _walk(view: Mapping[str, Entry], path: PurePosixPath, depth: int) -> Entry | None:
    if depth > 40:
        return None
    for seen in (*reversed(path.parents), path):
        entry = view.get(str(seen))
        # A layer need not hold the folders above its files.
        if entry and entry.kind == "link":
            target = posixpath.normpath(seen.parent / entry.target).lstrip("/")
            return _walk(view, PurePosixPath("/", target, path.relative_to(seen)), depth + 1)
    return view.get(str(path))
