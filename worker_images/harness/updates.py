"""Debian packages that a derived image holds in newer versions than its worker image."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from worker_images.fetch.apt import is_later
from worker_images.harness import closed_world, dpkg
from worker_images.harness.closed_world import Declared
from worker_images.harness.dpkg import STATUS, Installed
from worker_images.model.oci.image import Image
from worker_images.model.rootfs import Rules


@dataclass(frozen=True)
class Updates:
    """The paths of newer packages, and the worker image's paths that those no longer have."""

    declared: Mapping[str, Declared] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()

    def held(self, image: Image) -> frozenset[str]:
        """The paths that an image holds as the newer packages declare them."""
        return frozenset(
            path
            for path, declared in self.declared.items()
            if (entry := image.merged.get(path))
            and not closed_world.fault(image, entry, declared, set())
        )


def newer(image: Image, worker: Image) -> dict[str, Installed]:
    """The packages of the worker image that a derived image records in a newer version."""
    held = dpkg.installed(worker)
    return {
        name: package
        for name, package in dpkg.recorded(image).items()
        if name in held and is_later(package.version, held[name].version)
    }


def updates(worker: Image, files: Mapping[str, Path], rules: Rules) -> Updates:
    """The updates by the .debs of the newer packages."""
    declared = closed_world.declared_by_packages(files, rules)
    files_before = {path for name in files for path in _files(worker, name)}
    before = files_before | {
        path
        for path, entry in worker.merged.items()
        if entry.kind == "link" and (target := worker.find(path)) and target.path in files_before
    }
    return Updates(declared, frozenset(before - declared.keys()))


def _files(worker: Image, package: str) -> set[str]:
    """The files of a package by its list of MD5 sums, which is in the worker image."""
    entry = worker.merged.get(f"{STATUS}/{package}.md5sums")
    lines = worker.read(entry).decode(errors="surrogateescape").splitlines() if entry else []
    return {f"/{line.partition('  ')[2]}" for line in lines}
