"""The newest Debian suite whose engines can be installed, as one root file system."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from worker_images.build import requirements, tars
from worker_images.build.inputs import ENGINE, Root
from worker_images.build.tars import Progress, cleared
from worker_images.errors import EngineError, FetchError
from worker_images.fetch import apt
from worker_images.fetch.store import Store
from worker_images.model import project
from worker_images.model.lock import Lock, Package
from worker_images.model.pins import DebianPin
from worker_images.model.project import Project

SUITES = ("testing", "sid")
PACKAGES = (
    # A root file system, and what starts programs in it.
    *("base-files", "base-passwd", "ca-certificates", "coreutils", "dash", "libc-bin"),
    *("mount", "tini"),
    # The engines, a registry, and what makes certificates for one that is behind TLS.
    *("containerd", "docker.io", "docker-cli", "docker-registry", "openssl", "podman", "runc"),
    # What the miniature image is made of.
    *("busybox-static", "tini-static"),
)
# The index of testing and sid is valid for a week. Where a mirror was frozen at one day, as for a
# build that can be repeated, it is older. Its signature is checked all the same, and nothing of
# these packages reaches an image.
SETTINGS = 'Acquire::Check-Valid-Until "false";\n'


@dataclass(frozen=True)
class Parts:
    """What the project's images and engines are made from."""

    project: Project
    locked: Lock
    store: Store

    @classmethod
    def of(cls, root: Path) -> Self:
        """The committed pins and lock of a checkout."""
        loaded = project.load(root)
        return cls(loaded, requirements.load(loaded), Store())

    @property
    def epoch(self) -> int:
        """The time of every file."""
        return self.project.epoch

    @property
    def write(self) -> tars.Write:
        """What writes a tar."""
        debian = self.project.pins.debian
        return tars.writer(self.store, debian, self.locked.debian.resolved, self.epoch)


@dataclass(frozen=True)
class Suite:
    """A suite with the packages that its engines need today."""

    name: str
    date: str
    packages: tuple[Package, ...]

    def version(self, name: str) -> str:
        """The version of a package."""
        return next(package.version for package in self.packages if package.name == name)

    def __str__(self) -> str:
        names = ("docker.io", "containerd", "runc", "podman", "docker-registry")
        versions = ", ".join(f"{name} {self.version(name)}" for name in names)
        return f"Debian {self.name}, index of {self.date}: {versions}"


def unpacked(suites: Sequence[str], root: Path, parts: Parts, progress: Progress) -> Suite:
    """Unpack the first suite that installs; raises FetchError with why none does."""
    causes = []
    for name in suites:
        try:
            suite = _resolved(parts.project.pins.debian, name, root.parent)
            _unpack(suite, root, parts, progress)
        except (EngineError, FetchError) as error:
            causes.append(f"{name}: {error}")
        else:
            return suite
    raise FetchError(f"no Debian suite has engines that install: {'; '.join(causes)}")


def _resolved(pin: DebianPin, name: str, scratch: Path) -> Suite:
    with tempfile.TemporaryDirectory(prefix="apt-", dir=scratch) as folder:
        row = f"deb [signed-by={apt.KEYRING}] {pin.mirror} {name} main\n"
        configuration = apt.apt_folder(Path(folder), row, "amd64")
        with Path(configuration).open("a") as file:
            file.write(SETTINGS)
        packages = apt.closures(configuration, {name: PACKAGES})[name]
        (index,) = Path(folder, "state/lists").glob("*_InRelease")
        fields = dict(re.findall(r"^(Codename|Date): (.+)$", index.read_text(), re.MULTILINE))
    return Suite(fields["Codename"], fields["Date"], packages)


def _unpack(suite: Suite, root: Path, parts: Parts, progress: Progress) -> None:
    """The tar is kept by the digest of its packages, as the roots of images are."""
    folder = cleared(root.with_suffix(".tars"))
    engine = Root(ENGINE, suite.packages, parts.project.catalog.rules)
    tars.place(folder, [engine], parts.write, parts.epoch, progress)
    archive = folder / engine.place
    command = ["tar", "--extract", "--file", str(archive), "--directory", str(cleared(root))]
    subprocess.run(command, check=True)
    shutil.rmtree(folder)
