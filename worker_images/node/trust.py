"""Which images may run programs as root on this machine: those built here, or with --trust."""

import argparse
from pathlib import Path

from worker_images.errors import UsageError
from worker_images.model.built import built_here
from worker_images.model.oci import manifest
from worker_images.model.oci.files import open_archive
from worker_images.node.place import PlaceError, run_command


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option --trust."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run programs of an image that was not built here; only for images that you trust",
    )


def add_project(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a project, whose images were built from a checkout."""
    parser.add_argument(
        "--project",
        type=lambda name: Path(name).resolve(),
        metavar="DIR",
        help="the project whose images are checked; default: this checkout or kit",
    )


def require(root: Path, name: str, identity: str, *, trust: bool) -> None:
    """Raise UsageError for an image that was not built in a checkout or kit, unless trusted."""
    if not trust and not built_here(root, identity):
        raise UsageError(
            f"{name} was not built here, and its programs would run as root on this machine;"
            " add --trust if you trust it"
        )


def image_id(image: Path) -> str:
    """The image ID of an archive; empty for an unpacked root, which does not record it.

    Raises ImageError and OSError.
    """
    return digests(image)[-1]


def digests(image: Path) -> tuple[str, ...]:
    """An archive's manifest digest, first, and image ID, last; empty texts for an unpacked root.

    Raises ImageError and OSError.
    """
    if image.is_dir():
        return ("", "")
    with open_archive(image) as files:
        return manifest.read(files).digests


def engine_id(reference: str, docker: str) -> str:
    """The ID that an engine gives an image; raises PlaceError."""
    found = run_command([docker, "image", "inspect", "--format", "{{.Id}}", reference])
    if found.status:
        raise PlaceError(f"docker image inspect {reference}: {found.errors.strip()}")
    return found.output.strip()
