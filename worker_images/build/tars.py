"""Tars that build stages add: root filesystems and compilers.

Each is written once to the cache; its hash is checked at each use.
"""

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from worker_images.build import gotoolchain, rootfs, zigtoolchain
from worker_images.build.compilers import Toolchain, Zig
from worker_images.build.inputs import Tar
from worker_images.fetch import apt
from worker_images.fetch.store import Store
from worker_images.files import CACHE, atomic_path, without_stale_parts, write_atomic
from worker_images.model.pins import DebianPin

Progress = Callable[[str], None]
# Writes the tar of an input to a path.
Write = Callable[[Tar, Path], None]


def cleared(folder: Path) -> Path:
    """Create a folder, or empty it, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def writer(store: Store, debian: DebianPin, resolved: Sequence[str], epoch: int) -> Write:
    """Return a function that writes a tar from verified files."""

    def write(tar: Tar, path: Path) -> None:
        if isinstance(tar, Toolchain):
            gotoolchain.write(store.modules([tar.file])[0], path, epoch)
            return
        if isinstance(tar, Zig):
            zigtoolchain.write(store.wheel(tar.wheel), path, epoch)
            return
        files = store.debs(tar.packages, debian, resolved)
        named = {package.name: file for package, file in zip(tar.packages, files, strict=True)}
        rootfs.assemble(named, path, epoch, tar.rules, base=tar.is_base)

    return write


def place(folder: Path, tars: Sequence[Tar], write: Write, epoch: int, progress: Progress) -> None:
    """Add tars to a context; only those that are missing or corrupt in the cache are written."""
    cache = without_stale_parts(CACHE / "roots")
    paths = [cache / f"{Path(tar.place).stem}-{tar.digest[:16]}-{epoch}.tar" for tar in tars]
    # Hashing and the processes that unpack take most of the time, so threads help.
    with ThreadPoolExecutor() as pool:
        intact = list(pool.map(_is_intact, paths))
        absent = [
            pair
            for pair, good in zip(zip(tars, paths, strict=True), intact, strict=True)
            if not good
        ]
        for tar, _ in absent:
            progress(f"assembling {tar.place}")
        list(pool.map(lambda pair: _make(write, *pair), absent))
    for tar, path in zip(tars, paths, strict=True):
        link(path, folder / tar.place)


def _is_intact(path: Path) -> bool:
    digest = path.with_suffix(".sha256")
    return path.is_file() and digest.is_file() and apt.sha256(path) == digest.read_text()


def _make(write: Write, tar: Tar, path: Path) -> None:
    with atomic_path(path) as part:
        write(tar, part)
        write_atomic(path.with_suffix(".sha256"), apt.sha256(part))


def link(source: Path, target: Path) -> None:
    """Add a file to a context as a hard link, or as a copy across file systems."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        try:
            target.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, target)
