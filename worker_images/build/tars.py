"""Tars that stages add: root filesystems from Debian packages, the compiler.

Made once, hashed again at each use.
"""

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from worker_images.build import requirements, rootfs
from worker_images.build.plan import Plan
from worker_images.build.record import text_digest
from worker_images.fetch import apt
from worker_images.fetch.store import Inputs
from worker_images.files import CACHE, ROOT, swept, whole, write_whole
from worker_images.model.lock import Package
from worker_images.model.rootfs import PLACE, load

Tell = Callable[[str], None]
# Tars by name and key, each with what writes it.
Writers = dict[str, Callable[[Path], None]]
# In a context, the compilers' base where it is not the image's own.
NATIVE = "native"


@dataclass(frozen=True)
class Root:
    """One root filesystem tar: the packages in it, without those of what lies below."""

    name: str
    packages: tuple[Package, ...]

    @property
    def key(self) -> str:
        """A digest of the packages, and of the program and the rules that merge them."""
        merged_by = Path(rootfs.__file__).read_text() + (ROOT / PLACE).read_text()
        return text_digest("".join(package.sha256 for package in self.packages) + merged_by)


def cleared(folder: Path) -> Path:
    """The folder, there and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def place(folder: Path, writers: Writers, plan: Plan, tell: Tell) -> None:
    """Put tars into a context, made where they are not yet."""
    for name, tar in _tars(writers, plan.epoch, tell).items():
        link(tar, folder / f"{name.rpartition('-')[0]}.tar")


def root_writers(rows: Sequence[Root], inputs: Inputs, plan: Plan) -> Writers:
    """What writes each root filesystem tar."""
    return {f"{each.name}-{each.key[:16]}": root_writer(each, inputs, plan) for each in rows}


def root_writer(root: Root, inputs: Inputs, plan: Plan) -> Callable[[Path], None]:
    """What writes one, of packages that are checked first."""

    def write(path: Path) -> None:
        files = inputs.store.debs(root.packages, plan.debian, inputs.lock.debian.resolved)
        named = {package.name: file for package, file in zip(root.packages, files, strict=True)}
        is_base = root.name in {"base", NATIVE, requirements.ENGINE}
        rootfs.assemble(named, path, plan.epoch, load(ROOT), base=is_base)

    return write


def _tars(writers: Writers, epoch: int, tell: Tell) -> dict[str, Path]:
    """Tars by name and key, made once and hashed again at each use."""
    folder = swept(CACHE / "roots")
    tars = {name: folder / f"{name}-{epoch}.tar" for name in writers}
    # Most of it is spent in other processes, which unpack, and in hashing.
    with ThreadPoolExecutor() as pool:
        whole_ones = dict(zip(tars, pool.map(_is_whole, tars.values()), strict=True))
        absent = [name for name, is_whole in whole_ones.items() if not is_whole]
        for name in absent:
            tell(f"assembling {name.rpartition('-')[0]}.tar")
        list(pool.map(lambda name: _make(writers[name], tars[name]), absent))
    return tars


def _is_whole(tar: Path) -> bool:
    noted = tar.with_suffix(".sha256")
    return tar.is_file() and noted.is_file() and apt.sha256(tar) == noted.read_text()


def _make(write: Callable[[Path], None], tar: Path) -> None:
    with whole(tar) as part:
        write(part)
        write_whole(tar.with_suffix(".sha256"), apt.sha256(part))


def link(source: Path, target: Path) -> None:
    """Put a file into a context under another name, without a copy where the disk is the same."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        try:
            target.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, target)
