"""Places where runsc runs: the node itself, an image's unpacked root, a container, or a pod."""

import contextlib
import os
import re
import secrets
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from worker_images.errors import EngineError
from worker_images.node.spec import PATH

RUNSC = "/usr/local/bin/runsc"
# The node's root with its mounts, and without them. The latter becomes the root of users' containers.
HOST, CLEAN_ROOT = "/host", "/user"
TIMEOUT_SECONDS = 120.0
# What kubectl exec adds to the errors of a command that fails.
KUBECTL_STATUS = re.compile(r"command terminated with exit code [0-9]+\n\Z")
# Runs a shell script with mounts of its own.
OWN_MOUNTS = ("unshare", "--mount", "--propagation=private", "sh", "-c")
# runsc creates mount points in a container's root. An overlay keeps them in memory, so that nothing
# is written to the node's disk.
OVERLAY = """set -eu
mount_overlay() {
  mkdir -p "$2/upper" "$2/work" "$3"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$3"
}
"""
# Makes the image's root the root, with the machine's root mounted below it. The mounts end with the
# process.
ENTER_CHROOT = f"""{OVERLAY}root=$1 devices=$2
shift 2
mount -t tmpfs tmpfs /proc/fs
mount_overlay "$root" /proc/fs/image "$root"
mkdir -p "$root{HOST}"
mount --rbind /proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind "$devices" "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=1777 tmpfs "$root/run"
mount_overlay / "$root/run" "$root{CLEAN_ROOT}"
cd "$root"
# Not every Debian has the command pivot_root; the C library has the call, but Python starts slowly.
if command -v pivot_root > /dev/null; then
  pivot_root . "${{PWD}}{HOST}"
else
  python3 -Ic 'import ctypes, sys; sys.exit(ctypes.CDLL(None).pivot_root(b".", sys.argv[1].encode()))' "${{PWD}}{HOST}"
fi
exec chroot . "$@"
"""
ENTER_HOST = f"""{OVERLAY}user=$1
shift
mkdir -p "$user"
mount -t tmpfs tmpfs "$user"
mount_overlay / "$user" "$user/root"
exec "$@"
"""
CONTAINER_SCRIPT = f"""{OVERLAY}mount -t tmpfs tmpfs /run
mount_overlay /node /run {CLEAN_ROOT}
exec sleep infinity
"""


class PlaceError(EngineError):
    """A command could not be started or did not end in time; the machine is at fault."""


@dataclass(frozen=True)
class CommandResult:
    """The exit status and the output of a command."""

    status: int
    output: str
    errors: str


class Place(Protocol):
    """A place where a worker's commands run.

    `host` is the path of the node's root there, `clean_root` that of the same without its mounts,
    `runsc` the program there. `flags` are those that its rights require, and `user` the ID of the
    user who runs it.
    """

    @property
    def name(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def clean_root(self) -> str: ...
    @property
    def runsc(self) -> str: ...
    @property
    def flags(self) -> tuple[str, ...]: ...
    @property
    def user(self) -> int: ...

    def argv(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs a command there."""


@dataclass(frozen=True)
class Host:
    """The machine itself, with a runsc copied from an image, and a folder for its mounts."""

    runsc: str
    folder: str
    name: str = "the bare binary"
    host: str = ""
    flags: tuple[str, ...] = ()
    user: int = 0

    @property
    def clean_root(self) -> str:
        """The path of the node's root without its mounts."""
        return f"{self.folder}/root"

    def argv(self, command: Sequence[str]) -> list[str]:
        """Return the command in unshare, with its own mounts."""
        return [*OWN_MOUNTS, ENTER_HOST, "sh", self.folder, *command]


@dataclass(frozen=True)
class Chroot:
    """An image's unpacked root, entered with pivot_root; needs root, but no engine.

    `devices` becomes its /dev.
    """

    root: Path
    devices: Path = Path("/dev")
    name: str = "the image's unpacked root"
    host: str = HOST
    clean_root: str = CLEAN_ROOT
    runsc: str = RUNSC
    flags: tuple[str, ...] = ()
    user: int = 0

    def argv(self, command: Sequence[str]) -> list[str]:
        """Return the command in unshare and pivot_root."""
        enter = [*OWN_MOUNTS, ENTER_CHROOT, "sh", str(self.root), str(self.devices)]
        return [*enter, "/usr/bin/env", "-i", f"PATH={PATH}", *command]


@dataclass(frozen=True)
class RunningContainer:
    """A running container of the image.

    `prefix` runs a command in it: docker exec NAME, or kubectl exec POD --.
    """

    prefix: tuple[str, ...]
    name: str
    host: str = HOST
    clean_root: str = CLEAN_ROOT
    runsc: str = RUNSC
    flags: tuple[str, ...] = ()
    user: int = 0

    def argv(self, command: Sequence[str]) -> list[str]:
        """Return the command after the prefix."""
        return [*self.prefix, *command]


@contextlib.contextmanager
def start_container(
    image: str, devices: Sequence[tuple[str, str]], docker: str = "docker"
) -> Iterator[RunningContainer]:
    """Run a container with the least rights that runsc needs, and the machine's root at /host.

    `devices` are pairs of source and path. Raises PlaceError.
    """
    device_options = [f"--device={source}:{path}" for source, path in devices]
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
        started = run_command(
            [*start, *roots, *rights, *device_options, image, "-c", CONTAINER_SCRIPT]
        )
        if started.status:
            raise PlaceError(f"docker run {image}: {started.errors.strip()}")
        yield RunningContainer((docker, "exec", name), f"a container of {image}")
    finally:
        run_command([docker, "rm", "--force", name])


def run(place: Place, command: Sequence[str], seconds: float = TIMEOUT_SECONDS) -> CommandResult:
    """Run a command in a place.

    Raises PlaceError if it cannot be started or does not end in time.
    """
    found = run_command(place.argv(command), seconds)
    return replace(found, errors=KUBECTL_STATUS.sub("", found.errors))


def run_command(command: Sequence[str], seconds: float = TIMEOUT_SECONDS) -> CommandResult:
    """Run a command line in its own session, and kill that session if it does not end in time.

    A process that started another session is not killed. Raises PlaceError.
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
                    f"timed out after {seconds:g} seconds: {shlex.join(command)}"
                ) from error
            raise
    return CommandResult(
        process.returncode, output.decode(errors="replace"), errors.decode(errors="replace")
    )
