"""Which container engine does the work: the one that answers, or the private one of
scripts/engine.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from worker_images.engine.daemon import (
    DEFAULT_CONTEXT,
    Address,
    address_of,
    context_address,
    current_context,
)
from worker_images.engine.images import Images
from worker_images.engine.sdk import answers
from worker_images.errors import ClientError, EngineError
from worker_images.files import ENGINE, MACHINE_SOCKET, PRIVATE_SOCKET


@dataclass(frozen=True)
class Endpoint:
    """A running engine: its address, and the commands that talk to it."""

    address: Address
    buildx: tuple[str, ...]
    docker: str
    builder: str | None = None

    @property
    def host(self) -> str:
        """The engine's URL."""
        return self.address.host

    @property
    def images(self) -> Images:
        """Its images and containers."""
        return Images(self.address)

    @property
    def environment(self) -> dict[str, str]:
        """The process environment for buildx and docker."""
        kept = {name: value for name, value in os.environ.items() if name != "DOCKER_CONTEXT"}
        return kept | self.address.environment


class PrivateEngine:
    """The engine of scripts/engine, kept under the user's cache."""

    def __init__(self, root: Path) -> None:
        self.script = root / "scripts" / "engine"
        self.state = ENGINE
        self.root = self.state / "root"
        self.host = f"unix://{PRIVATE_SOCKET}"
        self.client = self.state / "bin"

    def run(self, action: str) -> str:
        """Do start, stop or status; raises EngineError with what the script said."""
        result = subprocess.run(
            [str(self.script), action, str(self.state)], capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise EngineError(
                result.stderr.strip() or f"{result.stdout.strip()}; run: ./build.py engine start"
            )
        return result.stdout.strip()

    def endpoint(self, builder: str | None = None) -> Endpoint:
        """Its address, with the clients that came with it."""
        plugin = self.root / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-buildx"
        docker = self.root / "usr" / "bin" / "docker"
        return Endpoint(Address(self.host), (str(plugin),), str(docker), builder)

    def write_client(self) -> None:
        """Put a docker command with buildx in place, for shells on machines that have none."""
        self.client.mkdir(parents=True, exist_ok=True)
        script, own = self.client / "docker", self.endpoint()
        docker, buildx = shlex.quote(own.docker), shlex.quote(own.buildx[0])
        script.write_text(
            f'#!/bin/sh\ncase ${{1:-}} in\n  buildx) shift; exec {buildx} "$@" ;;\n'
            f'  build) exec {buildx} "$@" ;;\nesac\nexec {docker} "$@"\n'
        )
        script.chmod(0o755)


def locate(private: PrivateEngine, builder: str | None = None) -> Endpoint | None:
    """The engine that answers, as the docker command would find it, or the private one.

    None without either.

    Raises EngineError for one that is named and does not answer.
    """
    named = os.environ.get("DOCKER_HOST")
    context = DEFAULT_CONTEXT if named else current_context()
    if context != DEFAULT_CONTEXT:
        return _outside(_of_context(context), private, builder)
    if not named and MACHINE_SOCKET.exists() and not os.access(MACHINE_SOCKET, os.W_OK):
        raise EngineError(
            f"permission denied on {MACHINE_SOCKET}; run with sudo, or join the group that owns it"
        )
    host = named or f"unix://{MACHINE_SOCKET}"
    if host != private.host and answers(host):
        return _outside(address_of(host), private, builder)
    if named and named != private.host:
        raise EngineError(
            f"DOCKER_HOST={named} does not answer; start that engine, or unset DOCKER_HOST"
        )
    if not (private.state / "pid").exists() or not answers(private.host):
        return None
    return private.endpoint(builder)


def has_buildx() -> bool:
    """Whether the machine's own docker command can drive BuildKit."""
    if not shutil.which("docker"):
        return False
    return (
        subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode
        == 0
    )


def _of_context(name: str) -> Address:
    address = context_address(name)
    if address is None:
        raise EngineError(
            f"docker context {name} cannot be read; see: docker context ls, or unset DOCKER_CONTEXT"
        )
    if not answers(address.host):
        fix = "start that engine, or run: docker context use default"
        raise EngineError(
            f"docker context {name} names {address.host}, which does not answer; {fix}"
        )
    return address


def _outside(address: Address, private: PrivateEngine, builder: str | None) -> Endpoint:
    """An engine that is not ours, with the machine's clients, or with ours where it has none."""
    if has_buildx():
        return Endpoint(address, ("docker", "buildx"), "docker", builder)
    own = private.endpoint(builder)
    if Path(own.docker).exists():
        return replace(own, address=address)
    fix = "install docker-cli and docker-buildx, or run: ./build.py engine start"
    raise ClientError(f"an engine answers, no docker command with buildx is here; {fix}")


def check_space(folders: Mapping[str, Path], needed: int) -> None:
    """Refuse to begin where a disk would fill; `needed` is bytes.

    Raises EngineError naming the folder.
    """
    for purpose, folder in folders.items():
        free = free_space(folder)
        if free < needed:
            raise EngineError(
                f"{folder}: {free / 1e9:.1f} GB free for {purpose}, {needed / 1e9:.0f} GB are"
                " needed; free some space there"
            )


def free_space(folder: Path) -> int:
    """Bytes free on the disk of a folder, also of one that is not there yet."""
    return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
