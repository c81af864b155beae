"""Testinfra backends that keep one shell open and fail loudly when it is gone.

Stock testinfra turns a dead container into exit status 1, so that `not host.exists("criu")` passes
on nothing; these raise.
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
# The longest end mark: newline, 24 hexadecimal digits, space, status, newline.
MARK_BYTES = 32


class TransportError(RuntimeError):
    """The target went away or does not answer; never an exit status."""


class OpenShell:
    """One /bin/sh at the end of a command, with answers framed by a word that no program knows."""

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
        """Status, standard output and standard error of one command; raises TransportError."""
        word = secrets.token_hex(12).encode()
        quoted = os.fsencode(shlex.quote(os.fsdecode(command)))
        script = (
            b"/bin/sh -c %b </dev/null; printf '\\n%b %%d\\n' \"$?\"; printf '\\n%b\\n' >&2\n"
            % (quoted, word, word)
        )
        if self.input.closed:
            raise TransportError(
                f"the target is gone ({shlex.join(self.command)}): it was lost earlier"
            )
        try:
            self.input.write(script)
        except BrokenPipeError as error:
            raise self._gone(b"") from error
        return self._answer(word, time.monotonic() + timeout, command)

    def close(self) -> None:
        """End the shell and whatever carries it."""
        self.process.kill()
        self.process.wait()
        for stream in (self.input, self.output, self.errors):
            stream.close()

    def _answer(self, word: bytes, deadline: float, command: bytes) -> tuple[int, bytes, bytes]:
        output, errors = _Stream(b"\n%b " % word), _Stream(b"\n%b\n" % word)
        with selectors.DefaultSelector() as selector:
            selector.register(self.output, selectors.EVENT_READ, output)
            selector.register(self.errors, selectors.EVENT_READ, errors)
            while not (output.ended and errors.ended):
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    self.close()
                    raise TransportError(f"no answer in time to {command!r}")
                for key, _ in ready:
                    if not key.data.take(key.fileobj):
                        raise self._gone(errors.data)
        status = int(output.data[output.end + len(word) + 2 :].split(b"\n")[0])
        return status, bytes(output.data[: output.end]), bytes(errors.data[: errors.end])

    def _gone(self, said: bytes | bytearray) -> TransportError:
        # Without waiting for more: a grandchild may hold the pipe open for ever.
        self.process.kill()
        self.process.wait()
        text = (bytes(said) + (self.errors.read() or b"")).decode(errors="replace").strip()
        self.close()
        return TransportError(
            f"the target is gone ({shlex.join(self.command)}): {text or 'it said nothing'}"
        )


class _Stream:
    """Bytes so far, and where the end mark begins once it has come."""

    def __init__(self, mark: bytes) -> None:
        self.mark = mark
        self.data = bytearray()
        self.end = -1

    @property
    def ended(self) -> bool:
        return self.end >= 0 and self.data.endswith(b"\n")

    def take(self, source: IO[bytes]) -> bool:
        """Read what is there; False at the end of the stream."""
        chunk = source.read(1 << 16)
        if chunk is None:
            return True
        known = max(0, len(self.data) - MARK_BYTES)
        self.data += chunk
        if self.end < 0:
            self.end = self.data.find(self.mark, known)
        return bool(chunk)


class ShellBackend(BaseBackend):  # type: ignore[misc]
    """A testinfra backend over one open shell; `argv` says how to reach it."""

    NAME = "sh"
    HAS_RUN_SALT = False

    # Testinfra's own signature.
    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        self.name, self.user = self.parse_containerspec(name)
        self.limit = float(kwargs.get("timeout") or DEFAULT_TIMEOUT_SECONDS)
        self.shell: OpenShell | None = None
        super().__init__(self.name, *args, **kwargs)

    def argv(self) -> list[str]:
        """The command that ends in a shell reading standard input."""
        return ["/bin/sh"]

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:  # noqa: ANN401
        """Run one command in the open shell, opening it first; raises TransportError."""
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
    """dockersh://[USER@]CONTAINER; the docker command is WORKER_DOCKER, or docker on PATH."""

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
    """Teach testinfra.get_host the schemes of this module."""
    for backend in (ShellBackend, DockerShell):
        testinfra.backend.BACKENDS[backend.NAME] = f"{backend.__module__}.{backend.__qualname__}"
