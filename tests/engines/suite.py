"""A root file system with the engines of the newest Debian suite that installs."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.build import tars
from worker_images.build.go_programs import Parts
from worker_images.build.inputs import ENGINE, Root
from worker_images.build.tars import Progress, cleared
from worker_images.errors import EngineError, FetchError
from worker_images.fetch import apt
from worker_images.model.lock import Package
from worker_images.model.pins import DebianPin

SUITES = ("testing", "sid")
PACKAGES = (
    # A root file system, and the programs that start others in it.
    *("base-files", "base-passwd", "ca-certificates", "coreutils", "dash", "libc-bin"),
    *("mount", "tini"),
    # The engines, a registry, and openssl for the certificates of TLS.
    *("containerd", "docker.io", "docker-cli", "docker-registry", "openssl", "podman", "runc"),
    # PID 1 of the containers of Podman.
    "catatonit",
    # The programs of the miniature image.
    *("busybox-static", "tini-static"),
)
# The indexes of testing and sid are valid for a week, and a mirror frozen for reproducible builds
# is older. Signatures are still checked, and no image contains these packages.
SETTINGS = 'Acquire::Check-Valid-Until "false";\n'


@dataclass(frozen=True)
class Suite:
    """A suite with the packages that its engines currently need."""

    name: str
    date: str
    packages: tuple[Package, ...]

    def version(self, name: str) -> str:
        """Return the version of a package."""
        return next(package.version for package in self.packages if package.name == name)

    def __str__(self) -> str:
        names = ("docker.io", "containerd", "runc", "podman", "docker-registry")
        versions = ", ".join(f"{name} {self.version(name)}" for name in names)
        return f"Debian {self.name}, index of {self.date}: {versions}"


def unpack_first(suites: Sequence[str], root: Path, parts: Parts, progress: Progress) -> Suite:
    """Unpack the first suite that installs; raises FetchError with each cause if none does."""
    causes = []
    for name in suites:
        try:
            suite = _resolve(parts.project.pins.debian, name, root.parent)
            _unpack(suite, root, parts, progress)
        except (EngineError, FetchError) as error:
            causes.append(f"{name}: {error}")
        else:
            return suite
    raise FetchError(f"no Debian suite has installable engines: {'; '.join(causes)}")


def _resolve(pin: DebianPin, name: str, scratch: Path) -> Suite:
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
    """Unpack the root; its tar is cached by the digest of its packages."""
    folder = cleared(root.with_suffix(".tars"))
    engine = Root(ENGINE, suite.packages, parts.project.catalog.rules)
    tars.place(folder, [engine], parts.write, parts.epoch, progress)
    archive = folder / engine.place
    command = ["tar", "--extract", "--file", str(archive), "--directory", str(cleared(root))]
    subprocess.run(command, check=True)
    shutil.rmtree(folder)
