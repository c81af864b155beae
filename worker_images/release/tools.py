"""The programs oras and cosign, from Debian packages of the lock, run with their own C library.

https://oras.land and https://docs.sigstore.dev/cosign.
"""

import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.build import provision
from worker_images.build.inputs import RELEASE
from worker_images.fetch.store import Store
from worker_images.files import CACHE
from worker_images.model.lock import Lock
from worker_images.model.project import Project

# How Go programs begin the line of their error.
ERROR = re.compile(r"(?:Error: |(?=Error response|panic: ))(?P<text>.*)")
LOADER, LIBRARIES = "usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu"


@dataclass(frozen=True)
class Done:
    """The result of a program: its status and output."""

    status: int
    output: bytes
    errors: str

    @property
    def message(self) -> str:
        """The error; of a crash, its first line."""
        found = ERROR.search(self.errors)
        first = self.errors.strip().partition("\n")[0]
        return found["text"] if found else first or f"it ended with status {self.status}"


@dataclass(frozen=True)
class Tools:
    """The folder that the packages are unpacked in."""

    folder: Path

    def run(self, program: str, arguments: Sequence[str], timeout: float | None = None) -> Done:
        """Run a program until it ends; raises TimeoutExpired after `timeout` seconds."""
        done = subprocess.run(
            self._command(program, arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=timeout,
        )
        return Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def lines(self, program: str, arguments: Sequence[str], each: Callable[[str], None]) -> Done:
        """Run a program and pass on its lines of output while it runs."""
        # A pipe would be full when a program that crashes prints what its threads do.
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                self._command(program, arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                errors="replace",
            ) as process,
        ):
            assert process.stdout
            for line in process.stdout:
                each(line.strip())
            status = process.wait()
            errors.seek(0)
            return Done(status, b"", errors.read().decode(errors="replace"))

    def _command(self, program: str, arguments: Sequence[str]) -> list[str]:
        loader, libraries = str(self.folder / LOADER), str(self.folder / LIBRARIES)
        start = [loader, "--library-path", libraries, str(self.folder / "usr/bin" / program)]
        return [*start, *arguments]


def ensure(
    project: Project, locked: Lock, progress: Callable[[str], None], store: Store | None = None
) -> Tools:
    """Unpack the tools if they are not in the cache; raises FetchError or EngineError."""
    folder = CACHE / "tools"
    found = provision.ensure_tools(RELEASE, folder, project, locked, store or Store(), progress)
    return Tools(found)
