"""The names that loading an image archive would move, and an archive without them."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from worker_images.model.oci.archive import open_archive, size_of

NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


def without_names(archive: Path, target: Path) -> Path:
    """The archive itself, or a copy at `target` without the names that loading it would move.

    Raises ImageError.
    """
    with open_archive(archive) as files:
        texts: dict[str, Any] = {
            name: json.load(files[name])
            for name in ("index.json", "manifest.json")
            if name in files
        }
        if not _strip(texts):
            return archive
        with tarfile.open(target, "w", encoding="utf-8") as copy:
            for name, file in (
                files
                | {name: io.BytesIO(json.dumps(text).encode()) for name, text in texts.items()}
            ).items():
                info = tarfile.TarInfo(name)
                info.size = size_of(file)
                copy.addfile(info, file)
    return target


def _strip(texts: dict[str, Any]) -> bool:
    """Take every name out of an archive's descriptions; whether there was one."""
    named = False
    for image in texts.get("manifest.json", []):
        named |= bool(image.get("RepoTags"))
        image["RepoTags"] = None
    for entry in texts.get("index.json", {}).get("manifests", []):
        for name in NAMES:
            named |= entry.get("annotations", {}).pop(name, None) is not None
    return named
