"""Image archives for tests, valid or corrupt."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Member = tuple[str, str, str]


def layer(*members: Member) -> bytes:
    """Return a layer as a tar archive of (kind, name, content or target)."""
    kinds = {
        "file": tarfile.REGTYPE,
        "folder": tarfile.DIRTYPE,
        "link": tarfile.SYMTYPE,
        "hardlink": tarfile.LNKTYPE,
        "device": tarfile.CHRTYPE,
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for kind, name, text in members:
            info = tarfile.TarInfo(name)
            info.type = kinds[kind]
            info.linkname = text if "link" in kind else ""
            data = text.encode() if kind == "file" else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def files_layer(files: Mapping[str, bytes]) -> bytes:
    """Return a layer as a tar archive of files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


TYPES = {
    "config": "application/vnd.oci.image.config.v1+json",
    "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
    "manifest": "application/vnd.oci.image.manifest.v1+json",
    "index": "application/vnd.oci.image.index.v1+json",
}


def blob(data: bytes) -> str:
    """The name of a blob in an archive."""
    return f"blobs/sha256/{digest(data)[7:]}"


def descriptor(kind: str, data: bytes) -> dict[str, object]:
    return {"mediaType": TYPES[kind], "digest": digest(data), "size": len(data)}


def index(*entries: dict[str, object]) -> bytes:
    """The text of an index."""
    return json.dumps(
        {"schemaVersion": 2, "mediaType": TYPES["index"], "manifests": list(entries)}
    ).encode()


def files_of(
    packed: list[bytes], diff_ids: list[str], config: dict[str, object] | None = None
) -> dict[str, bytes]:
    """The files of an OCI archive of compressed layers."""
    settings = {"config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}} | (config or {})
    text = json.dumps(settings).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": TYPES["manifest"],
            "config": descriptor("config", text),
            "layers": [descriptor("layer", data) for data in packed],
        }
    ).encode()
    files = {blob(data): data for data in (text, manifest, *packed)}
    files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    files["index.json"] = index(descriptor("manifest", manifest))
    return files


def replace_manifest(files: dict[str, bytes], edit: Callable[[dict[str, Any]], None]) -> None:
    """Edit the manifest, and name the edited one in the index."""
    entry = json.loads(files["index.json"])["manifests"][0]
    manifest = json.loads(files.pop(f"blobs/sha256/{entry['digest'][7:]}"))
    edit(manifest)
    data = json.dumps(manifest).encode()
    files[blob(data)] = data
    files["index.json"] = index(descriptor("manifest", data))


def pack(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write files as a tar; return its path."""
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write(
    path: Path, layers: list[bytes], corrupt: Callable[[dict[str, bytes]], None] = lambda _: None
) -> Path:
    """Write an OCI archive, after `corrupt` has changed any of its files; return its path."""
    packed = [gzip.compress(data, mtime=0) for data in layers]
    files = files_of(packed, [digest(data) for data in layers])
    corrupt(files)
    return pack(path, files)
