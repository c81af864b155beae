"""Which container engine does the work: the one that answers, or the private one of scripts/engine."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from imagebuild.errors import ClientError, EngineError
from imagebuild.images import answers, described
from imagebuild.places import ENGINE, MACHINE_SOCKET, PRIVATE_SOCKET

# Docker 26.0 is the first whose BuildKit (0.13) rewrites timestamps and writes OCI archives.
OLDEST_DOCKER = 26
OLDEST_BUILDKIT = (0, 13)
CONTAINERD_STORE = "io.containerd.snapshotter"
REMEDIES = (
    'either set {"features": {"containerd-snapshotter": true}} in daemon.json of Docker 26 or later, '
    "or name a builder: docker buildx create --name worker && ./build.py --builder worker"
)


@dataclass(frozen=True)
class Endpoint:
    """A running engine: its address, and the commands that talk to it."""

    host: str
    buildx: tuple[str, ...]
    docker: str
    builder: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The process environment for buildx and docker."""
        return {**os.environ, "DOCKER_HOST": self.host}


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
        result = subprocess.run([str(self.script), action, str(self.state)], capture_output=True, text=True, check=False)
        if result.returncode:
            raise EngineError(result.stderr.strip() or f"{result.stdout.strip()}; run: make engine")
        return result.stdout.strip()

    def endpoint(self, builder: str | None = None) -> Endpoint:
        """Its address, with the clients that came with it."""
        plugin = self.root / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-buildx"
        return Endpoint(self.host, (str(plugin),), str(self.root / "usr" / "bin" / "docker"), builder)

    def write_client(self) -> None:
        """Put a docker command with buildx in place, for shells on machines that have none."""
        self.client.mkdir(parents=True, exist_ok=True)
        script, own = self.client / "docker", self.endpoint()
        script.write_text(
            f'#!/bin/sh\ncase ${{1:-}} in\n  buildx) shift; exec "{own.buildx[0]}" "$@" ;;\n'
            f'  build) exec "{own.buildx[0]}" "$@" ;;\nesac\nexec "{own.docker}" "$@"\n'
        )
        script.chmod(0o755)


def find(private: PrivateEngine, builder: str | None = None) -> Endpoint | None:
    """The engine that answers, or None; raises EngineError for one that answers and cannot do the work."""
    named = os.environ.get("DOCKER_HOST")
    if not named and MACHINE_SOCKET.exists() and not os.access(MACHINE_SOCKET, os.W_OK):
        raise EngineError(f"permission denied on {MACHINE_SOCKET}; run with sudo, or join the group that owns it")
    host = named or f"unix://{MACHINE_SOCKET}"
    if host != private.host and answers(host):
        return _usable(_outside(host, private, builder))
    if named and named != private.host:
        raise EngineError(f"DOCKER_HOST={named} does not answer; start that engine, or unset DOCKER_HOST")
    if not (private.state / "pid").exists() or not answers(private.host):
        return None
    return _usable(private.endpoint(builder)) if builder else private.endpoint()


def has_docker_with_buildx() -> bool:
    """Whether the machine's own docker command can drive BuildKit."""
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode == 0


def _outside(host: str, private: PrivateEngine, builder: str | None) -> Endpoint:
    """An engine that is not ours, with the machine's clients, or with ours where it has none."""
    if has_docker_with_buildx():
        return Endpoint(host, ("docker", "buildx"), "docker", builder)
    own = private.endpoint(builder)
    if Path(own.docker).exists():
        return replace(own, host=host)
    raise ClientError("an engine answers, no docker command with buildx is here; install docker-cli and docker-buildx, or run: make engine")


def _usable(endpoint: Endpoint) -> Endpoint:
    command = [*endpoint.buildx, "inspect", *([endpoint.builder] if endpoint.builder else [])]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=endpoint.environment)
    if result.returncode:
        raise EngineError(f"no buildx builder {endpoint.builder or 'by default'}: {result.stderr.strip()}; see: docker buildx ls")
    driver = re.search(r"^Driver: +(\S+)", result.stdout, re.MULTILINE)
    if driver and driver[1] != "docker":
        check_builder(result.stdout, endpoint.builder or "default")
    else:
        check_store(*described(endpoint.host))
    return endpoint


def check_builder(inspected: str, name: str) -> None:
    """Refuse a builder whose BuildKit is too old, by what `docker buildx inspect` prints; raises EngineError."""
    version = re.search(r"^Build[Kk]it(?: version)?: +v?([0-9]+)\.([0-9]+)", inspected, re.MULTILINE)
    if version and (int(version[1]), int(version[2])) < OLDEST_BUILDKIT:
        raise EngineError(f"builder {name} has BuildKit {version[1]}.{version[2]}, 0.13 is needed; {REMEDIES}")


def check_store(version: str, store: str) -> None:
    """Refuse a daemon that cannot write OCI archives; raises EngineError with both remedies."""
    if int(version.split(".", maxsplit=1)[0]) < OLDEST_DOCKER:
        raise EngineError(f"Docker {version} answers, its BuildKit is older than 0.13; {REMEDIES}")
    if CONTAINERD_STORE not in store:
        raise EngineError(f"Docker {version} answers, its classic image store cannot write OCI archives; {REMEDIES}")


def check_space(folders: Mapping[str, Path], needed: int) -> None:
    """Refuse to begin where a disk would fill; `needed` is bytes; raises EngineError naming the folder."""
    for purpose, folder in folders.items():
        free = free_space(folder)
        if free < needed:
            raise EngineError(f"{folder}: {free / 1e9:.1f} GB free for {purpose}, {needed / 1e9:.0f} GB are needed; free some space there")


def free_space(folder: Path) -> int:
    """Bytes free on the disk of a folder, also of one that is not there yet."""
    return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
