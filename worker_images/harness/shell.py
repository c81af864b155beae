"""Testinfra backends that keep one shell open and raise an error when it ends.

Testinfra's own backends report a dead container as exit status 1, so that
`not host.exists("criu")` passes without a container. These raise TransportError.
"""

import os
import secrets
import selectors
import shlex
import subprocess
import time
from collections.abc import Sequence
from typing import IO, Any, cast

import testinfra.backend
from testinfra.backend.base import BaseBackend, CommandResult

DEFAULT_TIMEOUT_SECONDS = 60.0
# The longest end mark: a newline, 24 hexadecimal digits, a space, the status, a newline.
MARK_BYTES = 32


class TransportError(RuntimeError):
    """The shell has ended or does not respond."""


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
        status = int(output.data[output.end + len(mark) + 2 :].split(b"\n")[0])
        return status, bytes(output.data[: output.end]), bytes(errors.data[: errors.end])

    def _gone(self, errors: bytes | bytearray) -> TransportError:
        # Do not wait for the end of the output: a grandchild may keep the pipe open.
        self.process.kill()
        self.process.wait()
        text = (bytes(errors) + (self.errors.read() or b"")).decode(errors="replace").strip()
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
        chunk = source.read(1 << 16)
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
        return [
            os.environ.get("WORKER_DOCKER", "docker"),
            "exec",
            "--interactive",
            *user,
            self.name,
            "/bin/sh",
        ]


def register() -> None:
    """Register the backends of this module for testinfra.get_host."""
    for backend in (ShellBackend, DockerShell):
        testinfra.backend.BACKENDS[backend.NAME] = f"{backend.__module__}.{backend.__qualname__}"
