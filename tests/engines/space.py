"""Programs in a root file system and namespaces of their own, which end with their starter."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from worker_images.errors import EngineError

INSIDE = Path(__file__).with_name("inside")
CGROUPS = Path("/sys/fs/cgroup")
# The kernel allows 108 bytes for the path of a socket.
LONGEST_SOCKET = 100
START_SECONDS = 60
STOP_SECONDS = 30
PAUSE_SECONDS = 0.05
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}


@dataclass(frozen=True)
class Place:
    """The folder of one run: the root, and the sockets, data and logs of its engines."""

    folder: Path

    @property
    def root(self) -> Path:
        """The root file system that all engines share."""
        return self.folder / "root"

    def state(self, name: str) -> Path:
        """The folder of one engine."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def cgroup(self, name: str) -> str:
        """The control group of one engine's containers, by which they are found."""
        return f"{self.folder.name}-{name}"


@contextlib.contextmanager
def place(parent: Path) -> Iterator[Place]:
    """A folder for one run, removed at its end; those of killed runs are removed first."""
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob("run-*"):
        # Another run may be ending there.
        with contextlib.suppress(FileNotFoundError), _locked(old) as free:
            if free:
                _removed(old)
                remove_cgroups(f"{old.name}-*")
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
    if len(str(folder / "classic" / "engine.sock")) > LONGEST_SOCKET:
        folder.rmdir()
        raise EngineError(
            f"{parent} is too long a path for sockets; set XDG_CACHE_HOME to a shorter one"
        )
    try:
        with _locked(folder):
            yield Place(folder)
    finally:
        _removed(folder)
        with contextlib.suppress(OSError):
            parent.rmdir()


@contextlib.contextmanager
def running(
    where: Place, name: str, command: Sequence[str], answers: Callable[[], bool], **environment: str
) -> Iterator[int]:
    """The process number of `unshare`, while a program runs in the root of a place.

    `answers` tells when it is ready. The program sees the machine's network, devices and control
    groups, and of the machine's files only the folder of its own state.
    """
    log = where.state(name) / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*in_space(where, name), *command],
            env=ENVIRONMENT | environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        until(
            lambda: process.poll() is not None or answers(),
            START_SECONDS,
            f"{name} to start; what it said: {log}",
        )
        if process.poll() is not None:
            said = log.read_text(errors="replace").splitlines()[-5:]
            raise EngineError(f"{name} ended with {process.returncode}: {' / '.join(said)}")
        yield process.pid
    finally:
        _ended(process)
        remove_cgroups(where.cgroup(name))


def in_space(where: Place, name: str) -> list[str]:
    """The words before a command that run it in the root of a place, with one state."""
    # The kernel ends `unshare` when its starter dies, however that dies, and then all in the space.
    apart = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
    ]
    return [*apart, str(INSIDE), sys.executable, str(where.root), str(where.state(name))]


def finished(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """A command that ran to its end; it is interrupted where this process is, and waited for."""
    apart = ["setpriv", "--pdeathsig", "KILL", *command]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(
            apart,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        ) as process:
            try:
                process.wait()
            except BaseException:
                _interrupted(process)
                raise
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(
            command, process.returncode, output.read(), errors.read()
        )


def _interrupted(process: "subprocess.Popen[bytes]") -> None:
    """Ctrl-C for a command and what it started, then an end to what does not heed it."""
    for by in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, by)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition, at most so long; raises EngineError with what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise EngineError(f"waited {seconds:.0f} s for {what}")
        time.sleep(PAUSE_SECONDS)


def first(outer: int) -> int | None:
    """The process that is PID 1 in the namespace of an `unshare`."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])
    return None


def _ended(process: "subprocess.Popen[bytes]") -> None:
    """Ask PID 1 of the namespace to end, then make it."""
    if (inner := first(process.pid)) and process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(inner, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    process.kill()
    process.wait()


def remove_cgroups(pattern: str) -> None:
    """Remove the empty control groups that engines leave, in one hierarchy or in many."""
    for top in (*CGROUPS.glob(pattern), *CGROUPS.glob(f"*/{pattern}")):
        for folder in sorted(
            (path for path in (top, *top.rglob("*")) if path.is_dir()), reverse=True
        ):
            with contextlib.suppress(OSError):
                folder.rmdir()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether the folder was free, held for the block; the kernel frees it when a holder dies."""
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _removed(folder: Path) -> None:
    """Remove a folder whose engines have ended; the kernel removes their mounts soon after."""

    def gone() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    until(gone, STOP_SECONDS, f"{folder} to be removed")


def terminated(_number: int, _frame: FrameType | None) -> None:
    """Handle SIGTERM as Ctrl-C, so that everything is removed."""
    raise KeyboardInterrupt
