"""One /bin/sh that stays open; a lost one is an error, never an exit status.

This module needs the standard library alone, because it travels with the GPU kit.
"""

import os
import secrets
import selectors
import shlex
import subprocess
import time
from collections.abc import Sequence
from typing import IO, cast

# The longest end mark: a newline, 24 hexadecimal digits, a space, the status, a newline.
MARK_BYTES = 32
# For both outputs of one command together.
MAX_OUTPUT_BYTES = 16 << 20
CHUNK_BYTES = 1 << 16
MAX_ERROR_TEXT = 2000


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
