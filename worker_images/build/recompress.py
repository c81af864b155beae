"""Compress the layers of an archive with zstd, which gives the same bytes with every engine."""

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from worker_images.errors import EngineError
from worker_images.files import atomic_path
from worker_images.model.oci import inflate, manifest
from worker_images.model.oci.files import BLOBS, Files, open_archive
from worker_images.model.oci.image import ImageError
from worker_images.model.oci.inflate import Meter
from worker_images.model.oci.manifest import ZSTANDARD, Manifest, Object
from worker_images.model.oci.names import member

LEVEL = 19


def with_zstd(archive: Path) -> None:
    """Replace the layers of an archive by compressed ones; raises EngineError.

    The image ID stays the same. The layers of the archive must not be compressed.
    """
    try:
        with open_archive(archive) as files, atomic_path(archive) as part:
            found = manifest.read(files, strict=True)
            with tarfile.open(part, "w") as target:
                _write(files, found, target)
    except ImageError as error:
        raise EngineError(f"compressing {error}; build it again with --no-cache") from error


def zstd_size(archive: Path) -> int:
    """The bytes that all layers of an archive have when compressed with zstd; EngineError."""
    try:
        with open_archive(archive) as files, Path(os.devnull).open("wb") as target:
            found = manifest.read(files, strict=True)
            sizes = {
                name: _compress(Meter(files.size_on_disk).inflated(files.chunks(name)), target)
                for name in dict.fromkeys(found.layers)
            }
    except ImageError as error:
        raise EngineError(f"compressing {error}; build it again with --no-cache") from error
    return sum(sizes[name]["size"] for name in found.layers)


def _write(files: Files, found: Manifest, target: tarfile.TarFile) -> None:
    """Write each layer as soon as it is compressed, then the files that name it."""
    packed = {}
    for name in dict.fromkeys(found.layers):
        with tempfile.TemporaryFile() as plain:
            packed[name] = _compress(files.chunks(name), plain)
            plain.seek(0)
            blob = BLOBS + packed[name]["digest"][7:]
            target.addfile(member(blob, packed[name]["size"]), plain)
    texts = _texts(found, packed)
    for name, data in {found.config_file: files.read(found.config_file), **texts}.items():
        target.addfile(member(name, len(data)), io.BytesIO(data))


def _compress(chunks: Iterable[bytes], target: IO[bytes]) -> Object:
    """Compress a layer and return its descriptor."""
    total, size = hashlib.sha256(), 0
    for piece in _frame(chunks):
        total.update(piece)
        size += target.write(piece)
    return {"mediaType": ZSTANDARD, "digest": f"sha256:{total.hexdigest()}", "size": size}


def _frame(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Compress bytes to one frame. With one thread or more, their number changes nothing."""
    reader = inflate.zstandard()
    option = reader.CompressionParameter
    frame = reader.ZstdCompressor(
        options={
            option.compression_level: LEVEL,
            option.checksum_flag: 1,
            option.nb_workers: os.cpu_count() or 1,
        }
    )
    yield from map(frame.compress, chunks)
    yield frame.flush()


def _texts(found: Manifest, packed: Mapping[str, Object]) -> dict[str, bytes]:
    """The manifest with these layers, and the files of the archive that name it."""
    layers = [packed[name] for name in found.layers]
    own = _json({**found.documents[-1], "layers": layers})
    digest = hashlib.sha256(own).hexdigest()
    entry = {"mediaType": f"{manifest.OCI}manifest.v1+json", "digest": f"sha256:{digest}"}
    saved = {
        "Config": found.config_file,
        "RepoTags": None,
        "Layers": [BLOBS + each["digest"][7:] for each in layers],
    }
    return {
        BLOBS + digest: own,
        "manifest.json": _json([saved]),
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json(
            {
                "schemaVersion": 2,
                "mediaType": f"{manifest.OCI}index.v1+json",
                "manifests": [{**entry, "size": len(own)}],
            }
        ),
    }


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
