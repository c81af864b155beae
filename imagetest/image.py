"""An image read from its archive: every layer's entries, the merged view, the configuration; nothing is trusted unhashed."""

import gzip
import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
    user: int
    group: int
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
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Image:
    """What a registry would serve."""

    digest: str
    config: Mapping[str, object]
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
        if entry is None:
            return None
        if entry.kind == "link":
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


def load(archive: Path, scratch: Path) -> Image:
    """Read an OCI or docker archive, unpacking layers below `scratch`; raises ImageError."""
    try:
        with tarfile.open(archive) as tar:
            blobs = {member.name.removeprefix("./"): member for member in tar if member.isfile()}
            digest, config, layers = _described(tar, blobs)
            unpacked = tuple(_layer(tar, blobs[name], number, name, scratch) for number, name in enumerate(layers))
    except (KeyError, ValueError, OSError, tarfile.TarError) as error:
        raise ImageError(f"{archive}: not an image archive: {error}") from error
    _check_layers(config, unpacked)
    return Image(digest, config, tuple(layer for layer, _ in unpacked))


def _described(tar: tarfile.TarFile, blobs: Mapping[str, tarfile.TarInfo]) -> tuple[str, dict[str, object], list[str]]:
    """Manifest digest, configuration and layer blob names; an OCI index is followed where there is one."""
    if "index.json" in blobs:
        index = json.loads(_bytes(tar, blobs["index.json"]))
        if len(index["manifests"]) != 1:
            raise ImageError(f"{len(index['manifests'])} images in one archive, one is wanted")
        digest = index["manifests"][0]["digest"]
        manifest = json.loads(_blob(tar, blobs, digest))
        if "manifests" in manifest:
            raise ImageError("an index inside the index: name the image of one platform")
        layers = [_blob_name(layer["digest"]) for layer in manifest["layers"]]
        return digest, json.loads(_blob(tar, blobs, manifest["config"]["digest"])), layers
    manifest = json.loads(_bytes(tar, blobs["manifest.json"]))[0]
    config = _bytes(tar, blobs[manifest["Config"]])
    return f"sha256:{hashlib.sha256(config).hexdigest()}", json.loads(config), manifest["Layers"]


def _blob_name(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _blob(tar: tarfile.TarFile, blobs: Mapping[str, tarfile.TarInfo], digest: str) -> bytes:
    data = _bytes(tar, blobs[_blob_name(digest)])
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise ImageError(f"blob {digest} has other bytes")
    return data


def _bytes(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    assert stream
    return stream.read()


def _layer(tar: tarfile.TarFile, member: tarfile.TarInfo, number: int, name: str, scratch: Path) -> tuple[Layer, str]:
    """Unpack one layer and return it with the digest of its tar."""
    stream = tar.extractfile(member)
    assert stream
    shipped = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    if name.startswith("blobs/") and not name.endswith(shipped):
        raise ImageError(f"layer {name} has other bytes")
    stream.seek(0)
    packed = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    path = scratch / f"layer-{number}.tar"
    with path.open("wb") as plain:
        shutil.copyfileobj(gzip.GzipFile(fileobj=stream) if packed else stream, plain, 1 << 20)
    with path.open("rb") as plain:
        unpacked = hashlib.file_digest(plain, "sha256").hexdigest()
    with tarfile.open(path) as inner:
        entries = tuple(_entry(info, number) for info in inner if info.name.strip("./"))
    return Layer(f"sha256:{shipped}", member.size, path, entries), f"sha256:{unpacked}"


def _entry(info: tarfile.TarInfo, layer: int) -> Entry:
    path = "/" + info.name.removeprefix("./").strip("/")
    kinds = ((info.isdir, "folder"), (info.issym, "link"), (info.islnk, "hardlink"), (info.isfile, "file"), (info.isfifo, "fifo"))
    kind = next((name for holds, name in kinds if holds()), "device")
    if path.rpartition("/")[2].startswith(WHITEOUT):
        kind = "whiteout"
    target = f"/{info.linkname.removeprefix('./').strip('/')}" if kind == "hardlink" else info.linkname
    return Entry(path, kind, info.mode, info.uid, info.gid, info.size, target, info.mtime, layer, info.offset_data)


def _check_layers(config: Mapping[str, object], layers: tuple[tuple[Layer, str], ...]) -> None:
    """An engine unpacks what the configuration names; it must be what was read here."""
    rootfs = config.get("rootfs")
    said = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    found = [digest for _, digest in layers]
    if said != found:
        raise ImageError(f"the configuration names layers {said}, the archive holds {found}")
