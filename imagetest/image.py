"""An image as values: every layer's entries, the merged view that a container sees, the configuration."""

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


@dataclass(frozen=True)
class Layer:
    """One layer: its digest as shipped, bytes as shipped, unpacked tar on disk, and entries in order."""

    digest: str
    size: int
    tar: Path
    entries: tuple[Entry, ...] = field(repr=False)


@dataclass(frozen=True)
class Image:
    """What a registry would serve."""

    digest: str
    config: Mapping[str, object] = field(repr=False)
    layers: tuple[Layer, ...]

    @property
    def size(self) -> int:
        """Bytes of compressed layers."""
        return sum(layer.size for layer in self.layers)

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

    def merged(self) -> dict[str, Entry]:
        """What a container sees: later layers win, whiteouts hide."""
        view: dict[str, Entry] = {}
        for layer in self.layers:
            for entry in layer.entries:
                if entry.kind == "whiteout":
                    _hide(view, entry)
            for entry in layer.entries:
                if entry.kind != "whiteout":
                    if entry.kind != "folder":
                        _drop_below(view, entry.path)
                    view[entry.path] = entry
        return view

    def find(self, path: str) -> Entry | None:
        """The entry a container opens at an absolute path, through symbolic links; None where there is none."""
        view = self.merged()
        return _walk(view, PurePosixPath(path), 0)

    def extract(self, entry: Entry, target: Path) -> None:
        """Copy the contents of a file, or of what a hard link names, to a path; raises ImageError for anything else."""
        source = entry
        if entry.kind == "hardlink":
            source = next(each for each in self.layers[entry.layer].entries if each.path == entry.target and each.kind == "file")
        if source.kind != "file":
            raise ImageError(f"{entry.path} is a {source.kind}, not a file")
        with self.layers[source.layer].tar.open("rb") as tar, target.open("wb") as copy:
            tar.seek(source.offset)
            for begin in range(0, source.size, CHUNK):
                copy.write(tar.read(min(CHUNK, source.size - begin)))


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
    seen = PurePosixPath("/")
    parts = path.parts[1:]
    for position, part in enumerate(parts):
        seen = seen / part
        entry = view.get(str(seen))
        # A layer need not hold the folders above its files.
        if entry and entry.kind == "link":
            rest = parts[position + 1 :]
            return _walk(view, _normal(seen.parent / entry.target).joinpath(*rest), depth + 1)
    return view.get(str(seen))


def _normal(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts[1:]:
        if part == "..":
            parts[-1:] = []
        elif part != ".":
            parts.append(part)
    return PurePosixPath("/", *parts)
