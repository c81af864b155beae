"""The Debian packages of a lock: those that it keeps, and those that the mirror has now."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from worker_images.build import requirements
from worker_images.build.requirements import ARCHITECTURES
from worker_images.build.tars import Progress
from worker_images.errors import DriftError
from worker_images.fetch import apt
from worker_images.model.component import Architecture
from worker_images.model.lock import Lock, Package, Roots
from worker_images.model.project import Project


@dataclass(frozen=True)
class Task:
    """A request to resolve the keys for which the kept lock has no current value."""

    project: Project
    kept: Lock
    stale: frozenset[str]
    progress: Progress

    def of(self, section: str) -> tuple[str, ...]:
        """Return the names to resolve in a section of the request."""
        prefix = f"{section}."
        return tuple(
            sorted(key.removeprefix(prefix) for key in self.stale if key.startswith(prefix))
        )


def packages(task: Task) -> dict[str, Roots]:
    """Return Debian's packages for each architecture."""
    return {architecture: _roots(task, architecture) for architecture in ARCHITECTURES}


def _roots(task: Task, architecture: Architecture) -> Roots:
    names = requirements.roots(task.project.catalog, architecture).names
    kept = task.kept.packages.get(architecture, Roots({}, {}, ()))
    resolved = _resolve_roots(task, architecture, names)
    held = {name for root in names if root not in resolved for name in kept.holds[root]}
    files = merge([each for each in kept.files if each.name in held], resolved)
    holds = {
        name: tuple(package.name for package in resolved[name])
        if name in resolved
        else kept.holds[name]
        for name in names
    }
    used = {package for held in holds.values() for package in held}
    return Roots(names, holds, tuple(files[name] for name in sorted(used)))


def merge(
    kept: Sequence[Package], resolved: Mapping[str, tuple[Package, ...]]
) -> dict[str, Package]:
    """Return all packages by name; raises DriftError for one with two versions."""
    files = {package.name: package for package in kept}
    for packages in resolved.values():
        for package in packages:
            known = files.setdefault(package.name, package)
            if known != package:
                raise DriftError(
                    f"versions.lock: {package.name}: locked {known.version}, the mirror has"
                    f" {package.version} now; run: make lock"
                )
    return files


def _resolve_roots(
    task: Task, architecture: Architecture, names: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[Package, ...]]:
    stale = task.of(f"packages.{architecture}")
    if task.of("debian"):
        stale = tuple(names)
    if not stale:
        return {}
    task.progress(f"resolving Debian packages for {architecture}")
    wanted = {name: names[name] for name in stale}
    return dict(apt.resolve(task.project.pins.debian, wanted, architecture))


def times(kept: Lock, path: Path, packages: Mapping[str, Roots]) -> tuple[str, ...]:
    """Return the times of the packages: those of the kept lock, and now if packages were added.

    Without a kept lock, those of the lock at the path if its packages are the same.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    earlier = kept.debian.resolved
    if not earlier:
        with contextlib.suppress(DriftError):
            on_disk = Lock.read(path)
            if _files(on_disk.packages) == _files(packages):
                return on_disk.debian.resolved
    added = _files(packages) - _files(kept.packages)
    return (*earlier, now) if added else earlier


def _files(packages: Mapping[str, Roots]) -> set[Package]:
    return {package for roots in packages.values() for package in roots.files}
