"""The newest Debian suite whose engines can be installed, as one root file system."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from worker_images.build import plan, requirements, tars
from worker_images.build.plan import Plan
from worker_images.build.tars import Root, Tell, cleared
from worker_images.errors import EngineError, FetchError
from worker_images.fetch import apt
from worker_images.fetch.store import Inputs, Store
from worker_images.model import project
from worker_images.model.lock import Package
from worker_images.model.pins import DebianPin

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
class Project:
    """What the project's images and engines are made from."""

    inputs: Inputs
    plan: Plan

    @classmethod
    def of(cls, root: Path) -> Self:
        """The committed pins and lock of a checkout."""
        pinned, known = project.load(root, root / "versions.yaml")
        locked = requirements.load(root / "versions.yaml", pinned, known, root)
        return cls(Inputs(locked, Store()), plan.make(pinned, known, "slim"))


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


def unpacked(suites: Sequence[str], root: Path, project: Project, tell: Tell) -> Suite:
    """Unpack the first suite that installs; raises FetchError with why none does."""
    causes = []
    for name in suites:
        try:
            suite = _resolved(project.plan.debian, name, root.parent)
            _unpack(suite, root, project, tell)
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


def _unpack(suite: Suite, root: Path, project: Project, tell: Tell) -> None:
    """The tar is kept by the digest of its packages, as the roots of images are."""
    folder = cleared(root.with_suffix(".tars"))
    writers = tars.root_writers(
        [Root(requirements.ENGINE, suite.packages)], project.inputs, project.plan
    )
    tars.place(folder, writers, project.plan, tell)
    archive = folder / f"{requirements.ENGINE}.tar"
    command = ["tar", "--extract", "--file", str(archive), "--directory", str(cleared(root))]
    subprocess.run(command, check=True)
    shutil.rmtree(folder)
