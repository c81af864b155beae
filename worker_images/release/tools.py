"""The programs oras and cosign, from Debian packages of the lock, run with their own C library.

https://oras.land and https://docs.sigstore.dev/cosign.
"""

import contextlib
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker_images.build import provision
from worker_images.build.inputs import RELEASE
from worker_images.build.machine import AMD64, Machine
from worker_images.errors import EngineError
from worker_images.fetch.store import Store
from worker_images.files import CACHE
from worker_images.model.lock import Lock
from worker_images.model.project import Project

# How Go programs begin the line of their error.
ERROR = re.compile(r"(?:Error: |(?=Error response|panic: ))(?P<text>.*)")
# A program that reads and writes nothing for so long has no connection that works. oras and cosign
# wait for a registry without a limit.
STALL_SECONDS = 120.0
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
    """The folder that the packages are unpacked in.

    A program that reads and writes nothing for `stall` seconds is ended.
    """

    folder: Path
    stall: float = STALL_SECONDS

    def run(self, program: str, arguments: Sequence[str], timeout: float | None = None) -> Done:
        """Run a program until it ends; raises TimeoutExpired after `timeout` seconds."""
        with subprocess.Popen(
            self._command(program, arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            with _watched(process, self.stall) as stalled:
                output, errors = process.communicate(timeout=timeout)
            return Done(
                process.returncode, output, "".join(stalled) + errors.decode(errors="replace")
            )

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
            with _watched(process, self.stall) as stalled:
                for line in process.stdout:
                    each(line.strip())
                status = process.wait()
            errors.seek(0)
            return Done(status, b"", "".join(stalled) + errors.read().decode(errors="replace"))

    def _command(self, program: str, arguments: Sequence[str]) -> list[str]:
        loader, libraries = str(self.folder / LOADER), str(self.folder / LIBRARIES)
        start = [loader, "--library-path", libraries, str(self.folder / "usr/bin" / program)]
        return [*start, *arguments]


@contextlib.contextmanager
def _watched(process: subprocess.Popen[Any], limit: float) -> Iterator[list[str]]:
    """Kill a process that moves no data for `limit` seconds; the list then has the error.

    It is also killed if the block fails.
    """
    ended, stalled = threading.Event(), list[str]()

    def watch() -> None:
        moved, since = _moved(process.pid), time.monotonic()
        while not ended.wait(min(1.0, limit / 4)):
            now = _moved(process.pid)
            if now != moved:
                moved, since = now, time.monotonic()
            elif now and time.monotonic() - since > limit:
                stalled.append(f"Error: timeout: no data for {limit:.0f} s\n")
                process.kill()
                return

    thread = threading.Thread(target=watch)
    try:
        # Ctrl-C may come before this returns.
        thread.start()
        yield stalled
    except BaseException:
        process.kill()
        raise
    finally:
        ended.set()
        if thread.ident:
            thread.join()


def _moved(pid: int) -> str:
    """The bytes that a process has read and written, also from and to sockets.

    Empty if the kernel does not show them.
    """
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return ""
    return " ".join(line for line in lines if line.startswith(("rchar", "wchar")))


def ensure(
    project: Project, locked: Lock, progress: Callable[[str], None], store: Store | None = None
) -> Tools:
    """Unpack the tools if they are not in the cache; raises FetchError or EngineError."""
    if (here := Machine.here().architecture) not in AMD64:
        raise EngineError(
            f"this machine is {here}, but oras and cosign of versions.lock run on amd64; run the"
            " same command on an amd64 machine"
        )
    folder = CACHE / "tools"
    found = provision.ensure_tools(RELEASE, folder, project, locked, store or Store(), progress)
    return Tools(found)
