"""A worker's container, in an engine or in a pod: commands, and files by standard input."""

import re
import secrets
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from worker_images.node.place import PlaceError
from worker_images.untrusted import printable

SECONDS = 60.0
# The last line of the errors: a connection that was lost has none.
FOLLOWED = '"$@"; printf "\\n%s %d\\n" {mark} $? >&2'


@dataclass(frozen=True)
class Result:
    """The exit status and the two outputs of a command, byte for byte."""

    status: int
    output: bytes
    errors: bytes

    @property
    def text(self) -> str:
        """Both outputs as text, for messages; without what a terminal obeys."""
        return printable((self.output + self.errors).decode(errors="replace"))


@dataclass(frozen=True)
class Worker:
    """A container of the image; `prefix` runs a command in it with standard input."""

    prefix: tuple[str, ...]

    def run(self, script: str, *arguments: str, stdin: bytes = b"") -> Result:
        """Run a shell script with arguments; raises PlaceError if the connection is lost."""
        mark = secrets.token_hex(12)
        command = ["/bin/sh", "-c", FOLLOWED.format(mark=mark), "sh"]
        program = ["/bin/sh", "-c", script, "sh", *arguments]
        try:
            found = subprocess.run(
                [*self.prefix, *command, *program],
                input=stdin,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PlaceError(f"timed out after {SECONDS:g} seconds: {script}") from error
        end = re.search(rb"\n%b ([0-9]+)\n$" % mark.encode(), found.stderr)
        if not end:
            cause = printable(found.stderr.decode(errors="replace")).strip()
            raise PlaceError(
                f"{shlex.join(self.prefix)}: lost, with status {found.returncode}: {cause}"
            )
        return Result(int(end[1]), found.stdout, found.stderr[: end.start()])

    def __call__(self, script: str, *arguments: str, stdin: bytes = b"") -> str:
        """Run a shell script and return its output; the test fails if the script fails."""
        found = self.run(script, *arguments, stdin=stdin)
        assert found.status == 0, f"{script}: {found.text}"
        return found.output.decode()

    def put(self, path: str, data: bytes) -> None:
        """Write a file; a pod shares no folder with this machine."""
        self('cat > "$1"', path, stdin=data)

    def lines(self, script: str, *arguments: str) -> Sequence[str]:
        """Run a shell script and return its lines of output, sorted."""
        return sorted(self(script, *arguments).splitlines())
