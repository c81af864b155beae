"""A copy of an image archive that holds one image and no name."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from worker_images.model.oci import manifest
from worker_images.model.oci.files import BLOBS, Files, open_archive
from worker_images.model.oci.inflate import GZIP, ZSTANDARD
from worker_images.model.oci.manifest import OCI, Manifest, Object


def without_names(archive: Path, target: Path, architecture: str = "amd64") -> Path:
    """Copy the one image of an archive to `target`; raises ImageError.

    An engine that loads the copy reads the blobs that `archive.load` reads, and moves no tag:
    nothing else is in it. The image of an archive without index.json gets a manifest, because an
    engine that makes one itself names the image by a digest that is not known here.
    """
    with open_archive(archive) as files, tarfile.open(target, "w", encoding="utf-8") as copy:
        found = manifest.read(files, architecture)
        blobs = {name: name if found.descriptor else _blob(files, name) for name in found.files}
        for name, text in _texts(files, found, blobs).items():
            data = json.dumps(text).encode()
            copy.addfile(member(name, len(data)), io.BytesIO(data))
        # Two layers may have the same contents.
        for blob, name in {blob: name for name, blob in blobs.items()}.items():
            copy.addfile(member(blob, files.size(name)), files.open(name))
    return target


def _blob(files: Files, name: str) -> str:
    total = hashlib.sha256()
    for piece in files.chunks(name):
        total.update(piece)
    return BLOBS + total.hexdigest()


def _texts(files: Files, found: Manifest, blobs: Mapping[str, str]) -> dict[str, object]:
    layers = [blobs[name] for name in found.layers]
    saved = {"Config": blobs[found.config_file], "RepoTags": None, "Layers": layers}
    texts: dict[str, object] = {
        "manifest.json": [saved],
        "oci-layout": {"imageLayoutVersion": "1.0.0"},
    }
    entry = found.descriptor
    if entry is None:
        made = _manifest(files, found, blobs)
        data = json.dumps(made).encode()
        digest = hashlib.sha256(data).hexdigest()
        kind = f"{OCI}manifest.v1+json"
        entry = {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}
        texts[BLOBS + digest] = made
    return texts | {"index.json": {"schemaVersion": 2, "manifests": [entry]}}


def _manifest(files: Files, found: Manifest, blobs: Mapping[str, str]) -> Object:
    def descriptor(name: str, kind: str) -> Object:
        digest = f"sha256:{blobs[name].removeprefix(BLOBS)}"
        return {"mediaType": f"{OCI}{kind}", "digest": digest, "size": files.size(name)}

    def kind_of(name: str) -> str:
        first = next(files.chunks(name), b"")
        known = {GZIP: "+gzip", ZSTANDARD: "+zstd"}
        suffix = next((known[magic] for magic in known if first.startswith(magic)), "")
        return f"layer.v1.tar{suffix}"

    return {
        "schemaVersion": 2,
        "mediaType": f"{OCI}manifest.v1+json",
        "config": descriptor(found.config_file, "config.v1+json"),
        "layers": [descriptor(name, kind_of(name)) for name in found.layers],
    }


def member(name: str, size: int) -> tarfile.TarInfo:
    """The header of a file in an archive."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info
