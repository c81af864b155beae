"""The check that an engine and its builder can build these images, before any work."""

import re
import subprocess
from dataclasses import dataclass

from worker_images.engine.daemon import DEFAULT_CONTEXT
from worker_images.engine.endpoint import Endpoint, PrivateEngine, locate
from worker_images.engine.push import unpushable
from worker_images.engine.sdk import Daemon, describe
from worker_images.errors import EngineError

# The first BuildKit that writes timestamps and OCI archives as later ones do, and the first Docker
# that contains it.
OLDEST_BUILDKIT = (0, 13, 2)
OLDEST_DOCKER = (26, 1)
CREATE_A_BUILDER = (
    "docker buildx create --name worker && ./build.py --variant slim --builder worker"
)
SWITCH_STORES = (
    'set {"features": {"containerd-snapshotter": true}} in daemon.json of Docker 26.1 or later'
)


@dataclass(frozen=True)
class Builder:
    """A buildx builder, as `docker buildx inspect` prints it; `buildkit` need not be a number."""

    name: str
    driver: str
    buildkit: str
    platforms: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"builder {self.name} ({self.driver} driver, BuildKit {self.buildkit})"


@dataclass(frozen=True)
class Engine:
    """An engine that can build, its builder, and warnings about what could not be checked."""

    endpoint: Endpoint
    daemon: Daemon
    builder: Builder
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.daemon}, {self.daemon.store}, {self.builder}"


def find(private: PrivateEngine, builder: str | None = None) -> Engine | None:
    """The engine that responds, or None; raises EngineError if it cannot build."""
    endpoint = locate(private, builder)
    return buildable(endpoint) if endpoint else None


def buildable(endpoint: Endpoint) -> Engine:
    """The engine with its builder; raises EngineError if they cannot build these images."""
    daemon = describe(endpoint.address)
    command = [*endpoint.buildx, "inspect", *([endpoint.builder] if endpoint.builder else [])]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env=endpoint.environment
    )
    if result.returncode:
        name = f"builder {endpoint.builder}" if endpoint.builder else "default builder"
        raise EngineError(f"buildx has no {name}: {result.stderr.strip()}; see: docker buildx ls")
    builder = builder_of(result.stdout)
    # For a daemon without BuildKit, buildx assumes a builder in a container.
    if daemon.product == "Podman" and builder.name == DEFAULT_CONTEXT:
        raise EngineError(_without_buildkit(daemon, endpoint.host))
    if builder.driver == "docker" and builder.name != DEFAULT_CONTEXT:
        fix = f"set DOCKER_CONTEXT={builder.name}, or use a builder with another driver"
        raise EngineError(f"builder {builder.name} is the engine of another docker context; {fix}")
    warnings = (
        check_daemon(daemon, builder) if builder.driver == "docker" else check_buildkit(builder)
    )
    return Engine(endpoint, daemon, builder, warnings)


def builder_of(inspected: str) -> Builder:
    """A builder, from the output of `docker buildx inspect`."""

    def field(name: str) -> str:
        found = re.search(rf"^{name}: +(\S+)", inspected, re.MULTILINE)
        return found[1] if found else "unknown"

    # One line for each node; a platform that was set by hand ends with an asterisk.
    lines = re.findall(r"^Platforms: +(.+)$", inspected, re.MULTILINE)
    platforms = frozenset(name.strip(" *") for line in lines for name in line.split(","))
    return Builder(field("Name"), field("Driver"), field("Build[Kk]it(?: version)?"), platforms)


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version; empty for one without meaning: dev, v0.0.0+unknown."""
    found = re.match(r"v?([0-9]+)\.([0-9]+)(?:\.([0-9]+))?", version)
    parts = tuple(int(part or 0) for part in found.groups()) if found else ()
    return parts if any(parts) else ()


def check_buildkit(builder: Builder) -> tuple[str, ...]:
    """Warnings about a builder that has its own BuildKit; raises EngineError if that is too old."""
    found, oldest = numbers(builder.buildkit), ".".join(map(str, OLDEST_BUILDKIT))
    if not found:
        return (f"{builder}: version not recognized; needs BuildKit {oldest} or later",)
    if found < OLDEST_BUILDKIT:
        raise EngineError(
            f"{builder} is too old; needs BuildKit {oldest} or later: {CREATE_A_BUILDER}"
        )
    return ()


def check_daemon(daemon: Daemon, builder: Builder) -> tuple[str, ...]:
    """Warnings about a daemon that builds by itself; raises EngineError if it cannot build."""
    if not daemon.containerd_store:
        raise EngineError(
            f"{daemon} cannot be used: its classic image store cannot write OCI archives; "
            f"either {SWITCH_STORES}, or create a builder: {CREATE_A_BUILDER}"
        )
    found, oldest = numbers(daemon.version), ".".join(map(str, OLDEST_DOCKER))
    if numbers(builder.buildkit):
        return check_buildkit(builder)
    if not found:
        return (f"{daemon}: version not recognized; needs Docker {oldest} or later",)
    if found < OLDEST_DOCKER:
        raise EngineError(
            f"{daemon} is too old; install Docker {oldest} or later, or create a builder:"
            f" {CREATE_A_BUILDER}"
        )
    return ()


def check_platform(engine: Engine, architecture: str) -> None:
    """Raise EngineError if a builder that lists its platforms cannot run programs of one."""
    known = engine.builder.platforms
    if known and f"linux/{architecture}" not in known:
        raise EngineError(
            f"{engine.builder} cannot run programs of {architecture}, which upstream needs; add"
            " emulation: docker run --privileged --rm tonistiigi/binfmt --install"
            f" {architecture}; or use --builder with a machine of {architecture}, or --source"
            " packages"
        )


def check_push(engine: Engine, variant: str) -> None:
    """Raise EngineError if a push would send another manifest than the tested one."""
    if not engine.daemon.containerd_store:
        cause = f"--push: {engine.daemon} stores images without their manifest"
        raise EngineError(unpushable(cause, variant))


def _without_buildkit(daemon: Daemon, host: str) -> str:
    return (
        f"{daemon} at {host} can load, test and tag images, but has no BuildKit to build them, and"
        f" cannot push the tested manifest; create a builder: {CREATE_A_BUILDER}"
    )
