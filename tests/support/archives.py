"""Image archives for tests, valid or corrupt."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

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


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def write(
    path: Path, layers: list[bytes], corrupt: Callable[[dict[str, bytes]], None] = lambda _: None
) -> Path:
    """Write an OCI archive, after `corrupt` has changed any of its files; return its path."""
    packed = [gzip.compress(data, mtime=0) for data in layers]
    config = json.dumps(
        {"config": {}, "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in layers]}}
    ).encode()
    manifest = json.dumps(
        {
            "config": {"digest": digest(config), "size": len(config)},
            "layers": [{"digest": digest(data), "size": len(data)} for data in packed],
        }
    ).encode()
    files = {f"blobs/sha256/{digest(data)[7:]}": data for data in (config, manifest, *packed)}
    files["index.json"] = json.dumps({"manifests": [{"digest": digest(manifest)}]}).encode()
    corrupt(files)
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path
