"""Go programs of tools and tests, compiled with the Go release that versions.yaml pins."""

import shutil
import subprocess
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from worker_images.build import gotoolchain, requirements, tars
from worker_images.build.compilers import Toolchain
from worker_images.build.record import exclusive
from worker_images.build.tars import Progress
from worker_images.errors import EngineError
from worker_images.fetch import gomod
from worker_images.fetch.store import Store
from worker_images.files import CACHE, ROOT, atomic_path, text_digest, without_stale_parts
from worker_images.model import project
from worker_images.model.lock import Lock
from worker_images.model.project import Project

FILES = ("go.mod", "go.sum")
REPORT_SECONDS = 30


@dataclass(frozen=True)
class Parts:
    """The project's pins, lock and downloaded files."""

    project: Project
    locked: Lock
    store: Store

    @classmethod
    def of(cls, root: Path) -> Self:
        """Load the committed pins and lock of a checkout."""
        loaded = project.load(root)
        return cls(loaded, requirements.load(loaded), Store())

    @property
    def epoch(self) -> int:
        """The modification time of every file."""
        return self.project.file_time

    @property
    def write(self) -> tars.Write:
        """The function that writes a tar."""
        debian = self.project.pins.debian
        return tars.writer(self.store, debian, self.locked.debian.resolved, self.epoch)


@dataclass(frozen=True)
class Program:
    """A command of a Go module.

    `folder` has the go.mod and go.sum that pin it, and the sources of a command of our own.
    """

    name: str
    package: str
    folder: Path
    flags: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """The files that are compiled, apart from modules."""
        return [*(self.folder / name for name in FILES), *sorted(self.folder.glob("*.go"))]

    def path(self, parts: Parts) -> Path:
        """Where the program is, or will be; the name has the digest of its sources."""
        texts = [path.read_text() for path in self.files]
        toolchain = Toolchain(gomod.toolchain("", parts.locked.toolchain.sum)).digest
        key = text_digest("".join([*texts, *self.flags, toolchain]))
        return CACHE / "go-programs" / f"{self.name}-{key[:16]}"

    def compiled(self, parts: Parts, progress: Progress) -> Path:
        """Return the program's path; compile it once. Raises FetchError without its sources."""
        program = self.path(parts)
        cache = without_stale_parts(program.parent)
        with exclusive(cache / self.name, progress, f"compiling {self.name}"):
            if not program.is_file():
                self._compile_to(program, parts, progress)
        return program

    def _compile_to(self, target: Path, parts: Parts, progress: Progress) -> None:
        with tempfile.TemporaryDirectory(prefix="part-", dir=target.parent) as folder:
            _lay_out(self, Path(folder), parts, progress)
            progress(f"compiling {self.name}")
            begun = time.monotonic()
            with atomic_path(target) as part:
                _compile(self, Path(folder), part, progress)
            progress(f"compiled {self.name} in {time.monotonic() - begun:.0f} s")


def _lay_out(program: Program, folder: Path, parts: Parts, progress: Progress) -> None:
    """Write the compiler, go.mod, go.sum, and the modules in the layout of a module proxy."""
    locked = parts.locked.toolchain
    toolchain = Toolchain(gomod.toolchain(locked.version, locked.sum))
    tars.place(folder, [toolchain], parts.write, parts.epoch, progress)
    command = ["tar", "--extract", "--file", str(folder / "go.tar"), "--directory", str(folder)]
    subprocess.run(command, check=True)
    name = str((program.folder / "go.sum").relative_to(ROOT))
    files = gomod.files((program.folder / "go.sum").read_text(), name)
    progress(f"fetching {len(files)} files of Go modules that are not cached")
    for file, path in zip(files, parts.store.modules(files), strict=True):
        tars.link(path, folder / "modules" / file.name)
    for path in program.files:
        shutil.copy(path, folder)


def _compile(program: Program, folder: Path, target: Path, progress: Progress) -> None:
    """Compile without a network, from the files in the folder alone."""
    go = str(folder / gotoolchain.PLACE / "bin" / "go")
    command = ["unshare", "--map-root-user", "--net", go, "build", "-v", *program.flags]
    process = subprocess.Popen(
        [*command, "-o", str(target), program.package],
        cwd=folder,
        env=_environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            last = _follow(process, program.name, progress)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise EngineError(f"compiling {program.name} failed: {' / '.join(last)}")


def _follow(process: "subprocess.Popen[str]", name: str, progress: Progress) -> list[str]:
    """Report how many packages are compiled, from time to time; return the last lines."""
    assert process.stderr
    last: deque[str] = deque(maxlen=5)
    reported = time.monotonic()
    for count, line in enumerate(process.stderr):
        last.append(line.rstrip())
        if time.monotonic() - reported > REPORT_SECONDS:
            progress(f"compiling {name}: {count} packages are compiled")
            reported = time.monotonic()
    process.wait()
    return list(last)


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "GOPATH": str(folder / "go"),
        "GOCACHE": str(folder / "cache"),
        "GOPROXY": (folder / "modules").as_uri(),
        "GOSUMDB": "off",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false -modcacherw",
        "CGO_ENABLED": "0",
    }
