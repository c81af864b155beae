"""Testinfra backends that keep one shell open and raise an error when it ends.

Testinfra's own backends report a dead container as exit status 1, so that
`not host.exists("criu")` passes without a container. These raise TransportError. If a program of
the image is its cause, the check fails.
"""

import os
import secrets
import selectors
import shlex
import subprocess
import time
from collections.abc import Sequence
from typing import IO, Any, cast

import pytest
import testinfra.backend
from testinfra.backend.base import BaseBackend, CommandResult

DEFAULT_TIMEOUT_SECONDS = 60.0
# The longest end mark: a newline, 24 hexadecimal digits, a space, the status, a newline.
MARK_BYTES = 32
# For both outputs of one command together.
MAX_OUTPUT_BYTES = 16 << 20
CHUNK_BYTES = 1 << 16
MAX_ERROR_TEXT = 2000
ENGINE_TIMEOUT_SECONDS = 20
NOTICE_SECONDS = 2.0


class TransportError(RuntimeError):
    """The shell has ended, does not respond, or prints without limit."""


class OpenShell:
    """One /bin/sh that a command starts; random marks separate the outputs."""

    def __init__(self, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self.command = command
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment,
        )
        pipes = (self.process.stdin, self.process.stdout, self.process.stderr)
        self.input, self.output, self.errors = cast("tuple[IO[bytes], IO[bytes], IO[bytes]]", pipes)
        for stream in (self.output, self.errors):
            os.set_blocking(stream.fileno(), False)

    def run(self, command: bytes, timeout: float) -> tuple[int, bytes, bytes]:
        """Run a command; return its status, output and error output; raises TransportError."""
        mark = secrets.token_hex(12).encode()
        quoted = os.fsencode(shlex.quote(os.fsdecode(command)))
        script = (
            b"/bin/sh -c %b </dev/null; printf '\\n%b %%d\\n' \"$?\"; printf '\\n%b\\n' >&2\n"
            % (quoted, mark, mark)
        )
        if self.input.closed:
            raise TransportError(
                f"the target is gone ({shlex.join(self.command)}): it was lost in an earlier"
                " command"
            )
        try:
            self.input.write(script)
        except BrokenPipeError as error:
            raise self._gone(b"") from error
        return self._read(mark, time.monotonic() + timeout, command)

    def close(self) -> None:
        """End the shell and the command that started it."""
        self.process.kill()
        self.process.wait()
        for stream in (self.input, self.output, self.errors):
            stream.close()

    def _read(self, mark: bytes, deadline: float, command: bytes) -> tuple[int, bytes, bytes]:
        output, errors = _Stream(b"\n%b " % mark), _Stream(b"\n%b\n" % mark)
        with selectors.DefaultSelector() as selector:
            selector.register(self.output, selectors.EVENT_READ, output)
            selector.register(self.errors, selectors.EVENT_READ, errors)
            while not (output.ended and errors.ended):
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    self.close()
                    raise TransportError(f"no response in time to {command!r}")
                for key, _ in ready:
                    if not key.data.take(key.fileobj):
                        raise self._gone(errors.data)
                if len(output.data) + len(errors.data) > MAX_OUTPUT_BYTES:
                    self.close()
                    raise TransportError(
                        f"more than {MAX_OUTPUT_BYTES >> 20} MiB of output from {command!r}"
                    )
        status = bytes(output.data[output.end + len(mark) + 2 :].split(b"\n")[0])
        if not status.isdigit():
            self.close()
            raise TransportError(f"no exit status of {command!r}")
        return int(status), bytes(output.data[: output.end]), bytes(errors.data[: errors.end])

    def _gone(self, errors: bytes | bytearray) -> TransportError:
        # Do not wait for the end of the output: a grandchild may keep the pipe open.
        self.process.kill()
        self.process.wait()
        # A grandchild may also print for ever.
        rest = self.errors.read(CHUNK_BYTES) or b""
        text = (bytes(errors) + rest)[-MAX_ERROR_TEXT:].decode(errors="replace").strip()
        self.close()
        return TransportError(
            f"the target is gone ({shlex.join(self.command)}): {text or 'no error output'}"
        )


class _Stream:
    """Bytes read so far, and the position of the end mark, -1 until it is found."""

    def __init__(self, mark: bytes) -> None:
        self.mark = mark
        self.data = bytearray()
        self.end = -1

    @property
    def ended(self) -> bool:
        return self.end >= 0 and self.data.endswith(b"\n")

    def take(self, source: IO[bytes]) -> bool:
        """Read the available bytes; return False at the end of the stream."""
        chunk = source.read(CHUNK_BYTES)
        if chunk is None:
            return True
        known = max(0, len(self.data) - MARK_BYTES)
        self.data += chunk
        if self.end < 0:
            self.end = self.data.find(self.mark, known)
        return bool(chunk)


class ShellBackend(BaseBackend):  # type: ignore[misc]
    """A testinfra backend that runs commands in one open shell."""

    NAME = "sh"
    HAS_RUN_SALT = False

    # The signature is testinfra's.
    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        self.name, self.user = self.parse_containerspec(name)
        self.limit = float(kwargs.get("timeout") or DEFAULT_TIMEOUT_SECONDS)
        self.shell: OpenShell | None = None
        super().__init__(self.name, *args, **kwargs)

    def argv(self) -> list[str]:
        """Return the command that starts the shell, which reads standard input."""
        return ["/bin/sh"]

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:  # noqa: ANN401
        """Run a command in the shell, which the first call opens; raises TransportError."""
        if self.shell is None:
            self.shell = OpenShell(self.argv())
        data = os.fsencode(self.get_command(command, *args))
        status, output, errors = self.shell.run(data, self.limit)
        return self.result(status, data, output, errors)

    @property
    def lost(self) -> bool:
        """Whether an earlier command lost the shell."""
        return self.shell is not None and self.shell.input.closed

    def close(self) -> None:
        """Close the shell, if one was opened."""
        if self.shell is not None:
            self.shell.close()
            self.shell = None


class DockerShell(ShellBackend):
    """The backend dockersh://[USER@]CONTAINER, by the docker command in WORKER_DOCKER or PATH."""

    NAME = "dockersh"

    def argv(self) -> list[str]:
        user = ["--user", self.user] if self.user else []
        return [_docker(), "exec", "--interactive", *user, self.name, "/bin/sh"]

    def run(self, command: str, *args: str, **options: Any) -> CommandResult:  # noqa: ANN401
        """Run a command in the shell; raises TransportError, and fails for a fault of the image."""
        try:
            return super().run(command, *args, **options)
        except TransportError as error:
            if state := self._state():
                message = f"{error}; the container {state}: a program of the image is at fault"
                raise pytest.fail.Exception(message, pytrace=False) from error
            raise

    def _state(self) -> str:
        """What the engine reports about the container, which its own programs may have ended.

        Empty if the engine does not respond, or if another client ended the container.
        """
        # The engine notices the end of a container a little later than the shell.
        until = f"{time.time() + NOTICE_SECONDS:.9f}"
        filters = ("--filter", f"container={self.name}", "--filter", "event=kill")
        killed = _ask("events", "--since", "1h", "--until", until, *filters)
        state = "{{.State.Status}}, exit code {{.State.ExitCode}}"
        found = _ask("inspect", "--format", state, self.name)
        verb = "has" if found.startswith("exited") else "is"
        return "" if killed or not found else f"{verb} {found}"


def _docker() -> str:
    return os.environ.get("WORKER_DOCKER", "docker")


def _ask(*arguments: str) -> str:
    """The answer of the engine; empty if it gives none."""
    try:
        return subprocess.run(
            [_docker(), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=ENGINE_TIMEOUT_SECONDS,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def register() -> None:
    """Register the backends of this module for testinfra.get_host."""
    for backend in (ShellBackend, DockerShell):
        testinfra.backend.BACKENDS[backend.NAME] = f"{backend.__module__}.{backend.__qualname__}"
