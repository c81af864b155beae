"""Images as a registry serves them: manifests and blobs as files."""

import gzip
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def publish(root: Path, name: str, tag: str, layer: Path, config: Mapping[str, object]) -> str:
    """Add an image for amd64 with one layer, a tar, to a registry's files; return its digest."""
    folder = root / "v2" / name
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    (folder / "manifests").mkdir(exist_ok=True)
    packed = layer.with_suffix(".tar.gz")
    with (
        layer.open("rb") as stream,
        packed.open("wb") as file,
        gzip.GzipFile("", "wb", 1, file, mtime=0) as target,
    ):
        shutil.copyfileobj(stream, target)
    with layer.open("rb") as stream:
        plain = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
    platform = {"architecture": "amd64", "os": "linux"}
    image = {
        **platform,
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [plain]},
        "history": [{"created_by": "stand-in"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _blob(folder, _json(image), CONFIG),
        "layers": [_blob(folder, packed.read_bytes(), LAYER)],
    }
    row = _manifest(folder, manifest, MANIFEST) | {"platform": platform}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [row]}
    digest = str(_manifest(folder, index, INDEX)["digest"])
    (folder / "manifests" / tag).hardlink_to(folder / "manifests" / digest)
    packed.unlink()
    return digest


def _blob(folder: Path, content: bytes, kind: str) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    (folder / "blobs" / digest).write_bytes(content)
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def _manifest(folder: Path, value: Mapping[str, object], kind: str) -> dict[str, object]:
    content = _json(value)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    (folder / "manifests" / digest).write_bytes(content)
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, indent=2).encode()
