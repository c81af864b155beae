"""Image archives, OCI or docker, read into an Image; all bytes are checked by digest."""

from collections.abc import Mapping
from pathlib import Path

from worker_images.model.oci import config as configuration
from worker_images.model.oci import layers, manifest
from worker_images.model.oci.files import open_archive
from worker_images.model.oci.image import Image, ImageError


def load(
    archive: Path, scratch: Path, architecture: str = "amd64", *, strict: bool = False
) -> Image:
    """Read an OCI or docker archive, and unpack its layers below `scratch`.

    `strict` allows only what BuildKit writes for one image. Raises ImageError.
    """
    with open_archive(archive) as files:
        found = manifest.read(files, architecture, strict=strict)
        configuration.check(found.config)
        unpacked = layers.unpack(files, found.layers, scratch, strict=strict)
    _check_layers(found.config, [layer.diff_id for layer in unpacked])
    return Image(found.digests, found.config, unpacked, found.documents)


def _check_layers(config: Mapping[str, object], found: list[str]) -> None:
    """Raise ImageError if the configuration, which engines follow, names other layers."""
    named = configuration.diff_ids(config)
    if named != found:
        raise ImageError(f"the configuration names layers {named}, the archive holds {found}")
