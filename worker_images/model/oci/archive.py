"""Image archives, OCI or docker, read into an Image; nothing in them is trusted unhashed."""

import contextlib
import gzip
import hashlib
import io
import json
import posixpath
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from worker_images.model.oci.image import CHUNK, WHITEOUT, Entry, Image, ImageError, Layer

GZIP, ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
ATTRIBUTE = "SCHILY.xattr."
PLAIN = {"path", "linkpath", "size", "mtime", "atime", "ctime", "uid", "gid", "uname", "gname"}


def load(archive: Path, scratch: Path, architecture: str = "amd64") -> Image:
    """Read an OCI or docker archive, unpacking layers below `scratch`.

    Of an index the one for `architecture`; raises ImageError.
    """
    with open_archive(archive) as files:
        digests, config, layers = read_manifest(files, architecture)
        unpacked = tuple(
            _layer(files[name], number, name, scratch) for number, name in enumerate(layers)
        )
    _check_layers(config, unpacked)
    return Image(digests, config, unpacked)


def diff_ids(config: Mapping[str, object]) -> list[str]:
    """The digests of the unpacked layers that a configuration names."""
    rootfs = config.get("rootfs")
    named = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    return [str(digest) for digest in named] if isinstance(named, list) else []


@contextlib.contextmanager
def open_archive(archive: Path) -> Iterator[dict[str, IO[bytes]]]:
    """An archive with its files by name; every fault in it is an ImageError."""
    try:
        with tarfile.open(archive, encoding="utf-8") as tar:
            members = [member for member in tar if member.isfile()]
            names = {posixpath.normpath(f"/{member.name}")[1:] for member in members}
            files = {
                member.name.removeprefix("./"): file
                for member in members
                if (file := tar.extractfile(member))
            }
            # An engine cleans names: what is another file to us must be another file to it.
            if files.keys() != names or len(names) != len(members):
                raise ImageError(f"{archive}: its files can be read in two ways")
            yield files
    except (
        KeyError,
        ValueError,
        EOFError,
        zlib.error,
        gzip.BadGzipFile,
        tarfile.TarError,
    ) as error:
        raise ImageError(f"{archive}: not an image archive: {error}") from error


def size_of(file: IO[bytes]) -> int:
    """Bytes of a file, which is left at its beginning."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size


def read_manifest(
    files: Mapping[str, IO[bytes]], architecture: str = "amd64"
) -> tuple[tuple[str, ...], dict[str, object], list[str]]:
    """Digests that name the image, its manifest's first; configuration.

    Layer blob names. An OCI index is followed.
    """
    if "index.json" in files:
        index = json.load(files["index.json"])
        if len(index["manifests"]) != 1:
            raise ImageError(f"{len(index['manifests'])} images in one archive, one is wanted")
        digest = outer = index["manifests"][0]["digest"]
        manifest = json.loads(_blob(files, digest))
        if "manifests" in manifest:
            digest = _for_platform(manifest["manifests"], architecture)
            manifest = json.loads(_blob(files, digest))
        layers = [_blob_name(layer["digest"]) for layer in manifest["layers"]]
        config = manifest["config"]["digest"]
        return (digest, outer, config), json.loads(_blob(files, config)), layers
    manifest = json.load(files["manifest.json"])[0]
    config = files[manifest["Config"]].read()
    return (f"sha256:{hashlib.sha256(config).hexdigest()}",), json.loads(config), manifest["Layers"]


def _for_platform(manifests: list[dict[str, Any]], architecture: str) -> str:
    """The image among the entries of an index, which may also hold other platforms and
    attestations.
    """
    found = [
        entry["digest"]
        for entry in manifests
        if entry.get("platform", {}).get("architecture") == architecture
    ]
    if len(found) != 1:
        raise ImageError(f"{len(found)} images for {architecture} in the index, one is wanted")
    return str(found[0])


def _blob_name(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _blob(files: Mapping[str, IO[bytes]], digest: str) -> bytes:
    data = files[_blob_name(digest)].read()
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise ImageError(f"blob {digest} has other bytes")
    return data


def _layer(stream: IO[bytes], number: int, name: str, scratch: Path) -> Layer:
    """Unpack one layer."""
    shipped = _sha256(stream)
    if name.startswith("blobs/") and not name.endswith(shipped):
        raise ImageError(f"layer {name} has other bytes")
    stream.seek(0)
    begin = stream.read(4)
    stream.seek(0)
    if begin == ZSTANDARD:
        raise ImageError(f"layer {name} is compressed with zstd; have it written with gzip")
    path = scratch / f"layer-{number}.tar"
    with path.open("wb") as plain:
        shutil.copyfileobj(
            gzip.GzipFile(fileobj=stream) if begin[:2] == GZIP else stream, plain, CHUNK
        )
    with path.open("rb") as plain:
        unpacked = _sha256(plain)
    with tarfile.open(path, encoding="utf-8") as inner:
        entries = tuple(entry_of(info, number) for info in inner if _plain(info, inner, name))
    if len({entry.path for entry in entries}) != len(entries):
        raise ImageError(f"layer {name} holds a path twice")
    with path.open("rb") as plain:
        plain.seek(inner.offset)
        if any(piece.strip(b"\0") for piece in iter(lambda: plain.read(CHUNK), b"")):
            raise ImageError(f"layer {name} goes on behind its end")
    return Layer(
        f"sha256:{shipped}",
        size_of(stream),
        path,
        entries,
        f"sha256:{unpacked}",
        path.stat().st_size,
    )


def _sha256(stream: IO[bytes]) -> str:
    total = hashlib.sha256()
    for piece in iter(lambda: stream.read(CHUNK), b""):
        total.update(piece)
    return total.hexdigest()


def _plain(info: tarfile.TarInfo, layer: tarfile.TarFile, name: str) -> bool:
    """Whether a member is a path below the root.

    Raises ImageError for one that an engine may read in another way.
    """
    root, path = info.name in {".", "./"}, f"/{info.name.removeprefix('./').rstrip('/')}"
    odd = {key for key in info.pax_headers if not key.startswith(ATTRIBUTE)} - PLAIN
    if (
        layer.pax_headers
        or odd
        or info.issparse()
        or (posixpath.normpath(path) != path and not root)
    ):
        raise ImageError(f"layer {name}: {info.name!r} can be read in two ways")
    return not root


def entry_of(info: tarfile.TarInfo, layer: int) -> Entry:
    """A tar's member as one path of a layer."""
    path = "/" + info.name.removeprefix("./").strip("/")
    kinds = (
        (info.isdir, "folder"),
        (info.issym, "link"),
        (info.islnk, "hardlink"),
        (info.isfile, "file"),
        (info.isfifo, "fifo"),
    )
    kind = next((name for holds, name in kinds if holds()), "device")
    if path.rpartition("/")[2].startswith(WHITEOUT):
        kind = "whiteout"
    target = (
        f"/{info.linkname.removeprefix('./').strip('/')}" if kind == "hardlink" else info.linkname
    )
    attributes = tuple(
        sorted(
            name.removeprefix(ATTRIBUTE) for name in info.pax_headers if name.startswith(ATTRIBUTE)
        )
    )
    return Entry(
        path,
        kind,
        info.mode,
        info.size,
        target,
        info.mtime,
        layer,
        info.offset_data,
        info.uid,
        info.gid,
        attributes,
    )


def _check_layers(config: Mapping[str, object], layers: tuple[Layer, ...]) -> None:
    """An engine unpacks what the configuration names; it must be what was read here."""
    said = diff_ids(config)
    found = [layer.diff_id for layer in layers]
    if said != found:
        raise ImageError(f"the configuration names layers {said}, the archive holds {found}")
