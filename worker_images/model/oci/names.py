"""A copy of an image archive that holds one image and no name."""

import io
import json
import tarfile
from pathlib import Path

from worker_images.model.oci import manifest
from worker_images.model.oci.files import open_archive
from worker_images.model.oci.manifest import Manifest


def without_names(archive: Path, target: Path, architecture: str = "amd64") -> Path:
    """Copy the one image of an archive to `target`; raises ImageError.

    An engine that loads the copy reads the blobs that `archive.load` reads, and moves no tag:
    nothing else is in it.
    """
    with open_archive(archive) as files, tarfile.open(target, "w", encoding="utf-8") as copy:
        found = manifest.read(files, architecture)
        for name, text in _texts(found).items():
            data = json.dumps(text).encode()
            copy.addfile(_member(name, len(data)), io.BytesIO(data))
        for name in dict.fromkeys(found.files):
            copy.addfile(_member(name, files.size(name)), files.open(name))
    return target


def _texts(found: Manifest) -> dict[str, object]:
    texts: dict[str, object] = {"manifest.json": found.saved}
    if found.descriptor:
        texts["oci-layout"] = {"imageLayoutVersion": "1.0.0"}
        texts["index.json"] = {"schemaVersion": 2, "manifests": [found.descriptor]}
    return texts


def _member(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    return info
