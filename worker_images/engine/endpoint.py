"""The container engine to use: the machine's, or the private one of scripts/engine."""

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
    cannot_connect,
    context_address,
    current_context,
    socket_fault,
)
from worker_images.engine.images import Images
from worker_images.engine.sdk import responds
from worker_images.errors import ClientError, EngineError
from worker_images.files import ENGINE, MACHINE_SOCKET, PRIVATE_SOCKET


@dataclass(frozen=True)
class Endpoint:
    """A running engine: its address, and the client commands for it."""

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
        """The images and containers of the engine."""
        return Images(self.address)

    @property
    def environment(self) -> dict[str, str]:
        """The environment for buildx and docker."""
        kept = {name: value for name, value in os.environ.items() if name != "DOCKER_CONTEXT"}
        return kept | self.address.environment


class PrivateEngine:
    """The engine of scripts/engine, in the user's cache."""

    def __init__(self, root: Path) -> None:
        self.script = root / "scripts" / "engine"
        self.state = ENGINE
        self.root = self.state / "root"
        self.host = f"unix://{PRIVATE_SOCKET}"
        self.client = self.state / "bin"

    def run(self, action: str) -> str:
        """Run start, stop or status; raises EngineError with the script's message."""
        result = subprocess.run(
            [str(self.script), action, str(self.state)], capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise EngineError(
                result.stderr.strip() or f"{result.stdout.strip()}; run: ./build.py engine start"
            )
        return result.stdout.strip()

    def endpoint(self, builder: str | None = None) -> Endpoint:
        """The private engine's address, with its own clients."""
        plugin = self.root / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-buildx"
        docker = self.root / "usr" / "bin" / "docker"
        return Endpoint(Address(self.host), (str(plugin),), str(docker), builder)

    def write_client(self) -> None:
        """Write a docker command with buildx, for shells on machines without one."""
        self.client.mkdir(parents=True, exist_ok=True)
        script, own = self.client / "docker", self.endpoint()
        docker, buildx = shlex.quote(own.docker), shlex.quote(own.buildx[0])
        script.write_text(
            f'#!/bin/sh\ncase ${{1:-}} in\n  buildx) shift; exec {buildx} "$@" ;;\n'
            f'  build) exec {buildx} "$@" ;;\nesac\nexec {docker} "$@"\n'
        )
        script.chmod(0o755)


def locate(private: PrivateEngine, builder: str | None = None) -> Endpoint | None:
    """The engine that the docker command would use, else the private one, else None.

    Raises EngineError if DOCKER_HOST or a context names an engine that does not respond.
    """
    named = os.environ.get("DOCKER_HOST")
    context = DEFAULT_CONTEXT if named else current_context()
    if context != DEFAULT_CONTEXT:
        return _with_clients(_of_context(context), private, builder)
    if not named and MACHINE_SOCKET.exists() and not os.access(MACHINE_SOCKET, os.W_OK):
        raise EngineError(
            f"permission denied on {MACHINE_SOCKET}; run with sudo, or join the group that owns it"
        )
    host = named or f"unix://{MACHINE_SOCKET}"
    if host != private.host and responds(host):
        return _with_clients(address_of(host), private, builder)
    if named and named != private.host:
        cause = cannot_connect(named, socket_fault(named))
        raise EngineError(f"DOCKER_HOST: {cause}; start that engine, or unset DOCKER_HOST")
    if not (private.state / "pid").exists() or not responds(private.host):
        return None
    return private.endpoint(builder)


def has_buildx() -> bool:
    """Whether the machine has a docker command with buildx."""
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
    if not responds(address.host):
        fix = "start that engine, or run: docker context use default"
        cause = cannot_connect(address.host, socket_fault(address.host))
        raise EngineError(f"docker context {name}: {cause}; {fix}")
    return address


def _with_clients(address: Address, private: PrivateEngine, builder: str | None) -> Endpoint:
    """An engine with the machine's clients, or with those of the private engine."""
    if has_buildx():
        return Endpoint(address, ("docker", "buildx"), "docker", builder)
    own = private.endpoint(builder)
    if Path(own.docker).exists():
        return replace(own, address=address)
    fix = "install docker-cli and docker-buildx, or run: ./build.py engine start"
    raise ClientError(
        f"an engine answers, but this machine has no docker command with buildx; {fix}"
    )


def check_space(folders: Mapping[str, Path], needed: int) -> None:
    """Raise EngineError for a folder whose disk has less than `needed` bytes free."""
    for purpose, folder in folders.items():
        free = free_space(folder)
        if free < needed:
            raise EngineError(
                f"{folder}: {free / 1e9:.1f} GB free for {purpose}, {needed / 1e9:.0f} GB are"
                " needed; free some space there"
            )


def free_space(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
