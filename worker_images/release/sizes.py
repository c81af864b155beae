"""The sizes that the images of a release have with zstd, which the notes show beside gzip's."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from worker_images.build import recompress
from worker_images.build import record as builds
from worker_images.release.record import Platform, Released

Progress = Callable[[str], None]


def with_zstd(released: Released, root: Path, progress: Progress) -> Released:
    """Add the sizes that the record lacks, as far as out/ still has the images.

    Raises EngineError.
    """
    if all(each.zstd for each in released.platforms):
        return released
    archives = {builds.manifest(path)[0]: path for path in root.glob("out/*/image.tar")}
    return replace(
        released,
        platforms=tuple(
            _measured(each, archives.get(each.manifest_digest), progress)
            for each in released.platforms
        ),
    )


def _measured(platform: Platform, archive: Path | None, progress: Progress) -> Platform:
    if platform.zstd or archive is None:
        return platform
    progress(f"measuring {platform.name} with zstd")
    return replace(platform, zstd=recompress.zstd_size(archive))
