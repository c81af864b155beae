"""Unpacks an image archive into a folder, for a machine without an engine."""

import os
import tempfile
from pathlib import Path, PurePosixPath

from worker_images.model.oci import archive
from worker_images.model.oci.image import Entry, Image, ImageError
from worker_images.node.place import RUNSC, PlaceError


def open_root(image: Path, empty: Path) -> tuple[Path, str]:
    """Return an image's root folder and its ID.

    An archive is unpacked into the empty folder. A folder is used directly; its ID is unknown and
    therefore empty. Raises PlaceError, ImageError and OSError.
    """
    if not image.is_dir():
        return empty, unpack(image, empty).image_id
    if not (image / RUNSC[1:]).is_file():
        raise PlaceError(f"{image} is not the root of a worker image: it has no {RUNSC}")
    return image, ""


def unpack(file: Path, target: Path) -> Image:
    """Write the merged files of an image archive into an empty folder.

    Raises ImageError and OSError.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        image = archive.load(file, Path(scratch))
        for path, entry in sorted(image.merged.items()):
            _check(image, path, entry)
            _write(image, entry, target / path[1:])
    return image


def _check(image: Image, path: str, entry: Entry) -> None:
    """Refuse special files, and files that a link would place elsewhere; raises ImageError."""
    if entry.kind not in {"folder", "file", "hardlink", "link"}:
        raise ImageError(f"{path} is a {entry.kind}; special files are not unpacked")
    for parent in PurePosixPath(path).parents:
        if (above := image.merged.get(str(parent))) and above.kind != "folder":
            raise ImageError(
                f"{path} is below {parent}, which is a {above.kind}: it would be written outside"
                " the target"
            )


def _write(image: Image, entry: Entry, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if entry.kind == "link":
        path.symlink_to(entry.target)
        return
    if entry.kind == "folder":
        path.mkdir(exist_ok=True)
    else:
        image.extract(entry, path)
    if os.geteuid() == 0:
        os.chown(path, entry.user, entry.group)
    path.chmod(entry.mode)
