"""Where runsc runs: on the node itself, in an image's unpacked root, in a container of it, in a
pod.
"""

import contextlib
import os
import secrets
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from worker_images.errors import EngineError
from worker_images.node.spec import PATH

RUNSC = "/usr/local/bin/runsc"
# The node's root with all that is mounted in it; and the same without, for a user's container to be
# made of.
HOST, USER = "/host", "/user"
SECONDS = 120.0
# runsc makes mount points in a container's root: what it writes there goes to memory, never to the
# node's disk.
LAYERED = """set -eu
layered() {
  mkdir -p "$2/upper" "$2/work" "$3"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$3"
}
"""
# The image's root becomes the root, the machine's lies below it; all of it ends with the process
# that began it.
ENTER = f"""{LAYERED}root=$1 devices=$2
shift 2
mount -t tmpfs tmpfs /proc/fs
layered "$root" /proc/fs/image "$root"
mkdir -p "$root{HOST}"
mount --rbind /proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind "$devices" "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=1777 tmpfs "$root/run"
layered / "$root/run" "$root{USER}"
cd "$root"
# The command of that name is not in every Debian; the C library has the call.
python3 -Ic 'import ctypes, sys; sys.exit(ctypes.CDLL(None).pivot_root(b".", sys.argv[1].encode()))' "${{PWD}}{HOST}"
exec chroot . "$@"
"""
BESIDE = f"""{LAYERED}user=$1
shift
mkdir -p "$user"
mount -t tmpfs tmpfs "$user"
layered / "$user" "$user/root"
exec "$@"
"""
CONTAINED = f"""{LAYERED}mount -t tmpfs tmpfs /run
layered /node /run {USER}
exec sleep infinity
"""


class PlaceError(EngineError):
    """The place itself is at fault, not what was run in it."""


@dataclass(frozen=True)
class Answer:
    """What a command came to."""

    status: int
    output: str
    errors: str


class Place(Protocol):
    """Where commands of a worker run.

    `host` is where the node's root lies there, `user` the same without its mounts, `runsc` the
    program there.
    """

    @property
    def name(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def runsc(self) -> str: ...

    def argv(self, command: Sequence[str]) -> list[str]:
        """The command line that runs a command there."""


@dataclass(frozen=True)
class Bare:
    """The machine itself, with a runsc copied out of an image, and a folder of its own."""

    runsc: str
    folder: str
    name: str = "the bare binary"
    host: str = ""

    @property
    def user(self) -> str:
        """The node's root without its mounts."""
        return f"{self.folder}/root"

    def argv(self, command: Sequence[str]) -> list[str]:
        """Through unshare, for a mount of its own."""
        return [
            "unshare",
            "--mount",
            "--propagation=private",
            "sh",
            "-c",
            BESIDE,
            "sh",
            self.folder,
            *command,
        ]


@dataclass(frozen=True)
class Unpacked:
    """An image's root as a folder, entered as root with mounts of its own: no engine is needed.
    `devices` becomes its /dev.
    """

    root: Path
    devices: Path = Path("/dev")
    name: str = "the image's unpacked root"
    host: str = HOST
    user: str = USER
    runsc: str = RUNSC

    def argv(self, command: Sequence[str]) -> list[str]:
        """Through unshare and pivot_root."""
        enter = [
            "unshare",
            "--mount",
            "--propagation=private",
            "sh",
            "-c",
            ENTER,
            "sh",
            str(self.root),
            str(self.devices),
        ]
        return [*enter, "/usr/bin/env", "-i", f"PATH={PATH}", *command]


@dataclass(frozen=True)
class Contained:
    """A running container of the image.

    `engine` is how it is entered: docker exec NAME, kubectl exec POD --.
    """

    engine: tuple[str, ...]
    name: str
    host: str = HOST
    user: str = USER
    runsc: str = RUNSC

    def argv(self, command: Sequence[str]) -> list[str]:
        """Through the engine's exec."""
        return [*self.engine, *command]


@contextlib.contextmanager
def container(
    image: str, devices: Sequence[tuple[str, str]], docker: str = "docker"
) -> Iterator[Contained]:
    """A container with what runsc needs and no more, the machine's root below /host, device nodes
    as (source, path).

    Raises PlaceError.
    """
    shared = [f"--device={source}:{path}" for source, path in devices]
    rights = [
        "--cap-add=SYS_ADMIN",
        *(f"--security-opt={name}=unconfined" for name in ("seccomp", "apparmor", "systempaths")),
    ]
    roots = [
        f"--volume=/:{HOST}",
        "--mount=type=bind,source=/,target=/node,bind-recursive=disabled,readonly",
    ]
    name = f"worker-{secrets.token_hex(6)}"
    start = [
        docker,
        "run",
        "--detach",
        "--rm",
        f"--name={name}",
        "--pull=never",
        "--network=none",
        "--entrypoint=/bin/sh",
    ]
    try:
        begun = answer([*start, *roots, *rights, *shared, image, "-c", CONTAINED])
        if begun.status:
            raise PlaceError(f"docker run {image}: {begun.errors.strip()}")
        yield Contained((docker, "exec", name), f"a container of {image}")
    finally:
        answer([docker, "rm", "--force", name])


def run(place: Place, command: Sequence[str], seconds: float = SECONDS) -> Answer:
    """Run a command in a place.

    Raises PlaceError where it does not end in time or cannot be started.
    """
    return answer(place.argv(command), seconds)


def answer(command: Sequence[str], seconds: float = SECONDS) -> Answer:
    """Run a command line in a session of its own, which is ended with it.

    What began a session itself is not.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise PlaceError(f"{command[0]}: {error.strerror}") from error
    with process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise PlaceError(
                    f"no end after {seconds:g} seconds: {shlex.join(command)}"
                ) from error
            raise
    return Answer(
        process.returncode, output.decode(errors="replace"), errors.decode(errors="replace")
    )
