"""Run programs in their own root file system and namespaces; they end with their starter."""

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
class RunFolder:
    """The folder of one run: the root, and the sockets, data and logs of its engines."""

    folder: Path

    @property
    def root(self) -> Path:
        """The root file system that all engines share."""
        return self.folder / "root"

    def state(self, name: str) -> Path:
        """Return the state folder of one engine; create it if it is missing."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def cgroup(self, name: str) -> str:
        """Return the control group of one engine's containers."""
        return f"{self.folder.name}-{name}"


@contextlib.contextmanager
def new_run_folder(parent: Path) -> Iterator[RunFolder]:
    """Make the folder of one run and remove it at the end; first remove folders of killed runs."""
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob("run-*"):
        # Another run may be removing it.
        with contextlib.suppress(FileNotFoundError), _lock(old) as free:
            if free:
                _remove(old)
                remove_cgroups(f"{old.name}-*")
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
    if len(str(folder / "classic" / "engine.sock")) > LONGEST_SOCKET:
        folder.rmdir()
        raise EngineError(
            f"{parent} is too long for socket paths; set XDG_CACHE_HOME to a shorter path"
        )
    try:
        with _lock(folder):
            yield RunFolder(folder)
    finally:
        _remove(folder)
        with contextlib.suppress(OSError):
            parent.rmdir()


@contextlib.contextmanager
def running(
    run_folder: RunFolder,
    name: str,
    command: Sequence[str],
    is_ready: Callable[[], bool],
    **environment: str,
) -> Iterator[int]:
    """Run a program in the root file system of a run folder; yield the PID of its `unshare`.

    `is_ready` returns whether the program is ready. The program sees the machine's network, devices
    and control groups; of the machine's files it sees only its own state folder.
    """
    log = run_folder.state(name) / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*namespace_command(run_folder, name), *command],
            env=ENVIRONMENT | environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        wait_until(
            lambda: process.poll() is not None or is_ready(),
            START_SECONDS,
            f"{name} to start; see its log: {log}",
        )
        if process.poll() is not None:
            output = log.read_text(errors="replace").splitlines()[-5:]
            raise EngineError(f"{name} exited with {process.returncode}: {' / '.join(output)}")
        yield process.pid
    finally:
        _stop(process)
        remove_cgroups(run_folder.cgroup(name))


def namespace_command(run_folder: RunFolder, name: str) -> list[str]:
    """Return the command prefix that runs a program in its own namespaces."""
    # When the starter dies, the kernel kills `unshare` and with it every process of the namespace.
    prefix = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
    ]
    return [*prefix, str(INSIDE), sys.executable, str(run_folder.root), str(run_folder.state(name))]


def run_command(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end; if this process is interrupted, interrupt the command and wait."""
    bound = ["setpriv", "--pdeathsig", "KILL", *command]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(
            bound,
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
                _interrupt(process)
                raise
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(
            command, process.returncode, output.read(), errors.read()
        )


def _interrupt(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt a command and its children; kill them if they do not end in time."""
    for by in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, by)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition; raises EngineError, which names `what`, after the time limit."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise EngineError(f"waited {seconds:.0f} s for {what}")
        time.sleep(PAUSE_SECONDS)


def inner_pid(outer: int) -> int | None:
    """Return the process that is PID 1 in the namespace of an `unshare`."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])
    return None


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Terminate PID 1 of the namespace; kill it if it does not end in time."""
    if (inner := inner_pid(process.pid)) and process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(inner, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    process.kill()
    process.wait()


def remove_cgroups(pattern: str) -> None:
    """Remove the empty control groups that engines leave, of cgroup v1 and v2."""
    for top in (*CGROUPS.glob(pattern), *CGROUPS.glob(f"*/{pattern}")):
        for folder in sorted(
            (path for path in (top, *top.rglob("*")) if path.is_dir()), reverse=True
        ):
            with contextlib.suppress(OSError):
                folder.rmdir()


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Lock the folder and yield whether it was free; the kernel unlocks it when the holder dies."""
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _remove(folder: Path) -> None:
    """Remove a folder whose engines have ended; the kernel removes their mounts soon after."""

    def gone() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    wait_until(gone, STOP_SECONDS, f"{folder} to be removed")


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Handle SIGTERM as Ctrl-C, so that everything is removed."""
    raise KeyboardInterrupt
