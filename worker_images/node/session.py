"""Starts, saves and restores sandboxes, and ends them with the session.

Every call of runsc has a time limit.
"""

import contextlib
import os
import secrets
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from worker_images.node import checkpoint, place, runsc
from worker_images.node.place import CommandResult, Place, PlaceError

# The limit of one call of runsc, and of a wait for a line.
LIMIT_SECONDS = 60.0


class Lines:
    """The lines that a sandbox writes to a pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = b""
        self.received: list[str] = []

    def next(self, seconds: float = LIMIT_SECONDS) -> str:
        """Return the next line; an empty text after the end. Raises PlaceError after a time."""
        end = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self._descriptor], [], [], max(end - time.monotonic(), 0))
            if not ready:
                raise PlaceError(f"the sandbox wrote no line in {seconds:g} seconds")
            if not (data := os.read(self._descriptor, 1 << 16)):
                return ""
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        self.received.append(line.decode(errors="replace"))
        return self.received[-1]

    def rest(self, seconds: float = LIMIT_SECONDS) -> list[str]:
        """Return all lines to the end of the output."""
        first = len(self.received)
        while self.next(seconds):
            pass
        return self.received[first:]

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._descriptor)


@dataclass(frozen=True, eq=False)
class Sandbox:
    """A sandbox and the call of runsc that started or restored it, or a program on the node."""

    name: str
    lines: Lines
    begun: float
    call: subprocess.Popen[bytes]
    messages: Path

    @property
    def errors(self) -> str:
        """What runsc and the container wrote to standard error."""
        return self.messages.read_text(errors="replace")

    def line(self, seconds: float = LIMIT_SECONDS) -> str:
        """Return the next line; raises PlaceError after the end and after a time."""
        if line := self.lines.next(seconds):
            return line
        raise PlaceError(f"the sandbox ended without output: {self.errors.strip()[-2000:]}")

    def first_line(self, seconds: float = LIMIT_SECONDS) -> tuple[str, float]:
        """Return the first line, and the seconds since the call; raises PlaceError without one."""
        return self.line(seconds), time.monotonic() - self.begun

    def status(self, seconds: float = LIMIT_SECONDS) -> int:
        """Return the exit status once the sandbox has ended; raises PlaceError after a time."""
        try:
            return self.call.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise PlaceError(f"runsc did not end in {seconds:g} seconds") from error


class Session:
    """Sandboxes of a bundle; `opened` ends them."""

    def __init__(self, where: Place, bundle: Path, flags: Sequence[str] = ()) -> None:
        self._place, self._bundle, self._flags = where, bundle, tuple(flags)
        self._sandboxes: list[Sandbox] = []
        (bundle / "log").mkdir(exist_ok=True)

    def close(self) -> None:
        """End all sandboxes."""
        for sandbox in [*self._sandboxes]:
            self.end(sandbox)

    def start(self, output: IO[bytes] | None = None) -> Sandbox:
        """Start the bundle's container, with a file as its output or else a pipe."""
        command = ["run", f"--bundle={self._seen(self._bundle)}"]
        return self._call(command, output=output)

    def restore_with_log(self, image: Path, options: Sequence[str] = ()) -> Sandbox:
        """Restore a checkpoint with runsc's debug log."""
        return self.restore(image, options, flags=runsc.debug_flags(self._place, self._bundle))

    def restore(
        self,
        image: Path,
        options: Sequence[str] = (),
        bundle: Path | None = None,
        flags: Sequence[str] = (),
        output: IO[bytes] | None = None,
    ) -> Sandbox:
        """Restore a checkpoint; another bundle, further flags of runsc, or a file as output."""
        own = self._seen(bundle or self._bundle)
        return self._call(checkpoint.restore(self._seen(image), own, options), flags, output)

    def save(
        self,
        sandbox: Sandbox,
        image: Path,
        program: str,
        options: Sequence[str] = (),
        compression: str = checkpoint.NO_COMPRESSION,
        seconds: float = LIMIT_SECONDS,
    ) -> CommandResult:
        """Save a sandbox in a folder; raises PlaceError if that does not end in time."""
        image.mkdir(mode=0o700)
        command = checkpoint.save(self._seen(image), program, compression)
        return place.run(self._place, [*self._runsc(), *command, *options, sandbox.name], seconds)

    def end(self, sandbox: Sandbox) -> None:
        """End a sandbox and remove its state."""
        if sandbox not in self._sandboxes:
            return
        self._sandboxes.remove(sandbox)
        kill(sandbox)
        with contextlib.suppress(PlaceError):
            delete = [*self._runsc(), "delete", "--force", sandbox.name]
            place.run(self._place, delete, runsc.DELETE_SECONDS)

    def log(self) -> str:
        """Return runsc's debug logs, which exist with the flags of runsc.debug_flags."""
        logs = sorted(self._bundle.glob("log/*"))
        return "".join(path.read_text(errors="replace") for path in logs if path.is_file())

    def _seen(self, path: Path) -> str:
        return f"{self._place.host}{path.resolve()}"

    def _runsc(self, flags: Sequence[str] = ()) -> list[str]:
        return runsc.command(self._place, self._bundle, (*self._flags, *flags), debug=False)

    def _call(
        self, command: Sequence[str], flags: Sequence[str] = (), output: IO[bytes] | None = None
    ) -> Sandbox:
        name = f"worker-{secrets.token_hex(6)}"
        argv = self._place.argv([*self._runsc(flags), *command, name])
        sandbox = launch(argv, self._bundle / "log" / f"{name}.errors", name, output)
        self._sandboxes.append(sandbox)
        return sandbox


def launch(
    command: Sequence[str], messages: Path, name: str = "", output: IO[bytes] | None = None
) -> Sandbox:
    """Start a command with a pipe or a file as its output, and a file for its messages."""
    read, write = os.pipe()
    with messages.open("wb") as errors, os.fdopen(write, "wb") as pipe:
        begun = time.monotonic()
        call = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output or pipe,
            stderr=errors,
            start_new_session=True,
        )
    return Sandbox(name, Lines(read), begun, call, messages)


def kill(sandbox: Sandbox) -> None:
    """Kill the command's process session, and close the pipe."""
    if sandbox.call.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(sandbox.call.pid, signal.SIGKILL)
        sandbox.call.wait()
    sandbox.lines.close()


@contextlib.contextmanager
def opened(where: Place, bundle: Path, flags: Sequence[str] = ()) -> Iterator[Session]:
    """Open a session, and end its sandboxes, whatever happens."""
    session = Session(where, bundle, flags)
    try:
        yield session
    finally:
        session.close()
