"""Whether an engine can build these images, by what it and its builder are.

Asked before any work.
"""

import re
import subprocess
from dataclasses import dataclass

from worker_images.engine.daemon import DEFAULT_CONTEXT
from worker_images.engine.endpoint import Endpoint, PrivateEngine, locate
from worker_images.engine.push import unpushable
from worker_images.engine.sdk import Daemon, describe
from worker_images.errors import EngineError

# The first BuildKit that writes timestamps and OCI archives as every later one does, and the Docker
# that brought it.
OLDEST_BUILDKIT = (0, 13, 2)
OLDEST_DOCKER = (26, 1)
NAME_A_BUILDER = "docker buildx create --name worker && ./build.py --variant slim --builder worker"
SWITCH_STORES = (
    'set {"features": {"containerd-snapshotter": true}} in daemon.json of Docker 26.1 or later'
)


@dataclass(frozen=True)
class Builder:
    """A buildx builder, as `docker buildx inspect` prints it; the version may be no number."""

    name: str
    driver: str
    buildkit: str

    def __str__(self) -> str:
        return f"builder {self.name} ({self.driver} driver, BuildKit {self.buildkit})"


@dataclass(frozen=True)
class Engine:
    """An engine that builds: what it is, its builder, and what could not be made certain."""

    endpoint: Endpoint
    daemon: Daemon
    builder: Builder
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.daemon}, {self.daemon.store}, {self.builder}"


def find(private: PrivateEngine, builder: str | None = None) -> Engine | None:
    """The engine that answers, fit to build, or None.

    Raises EngineError for one that cannot build.
    """
    endpoint = locate(private, builder)
    return buildable(endpoint) if endpoint else None


def buildable(endpoint: Endpoint) -> Engine:
    """The engine with its builder.

    Raises EngineError where they cannot build these images, before any work.
    """
    daemon = describe(endpoint.address)
    command = [*endpoint.buildx, "inspect", *([endpoint.builder] if endpoint.builder else [])]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env=endpoint.environment
    )
    if result.returncode:
        wanted = f"builder {endpoint.builder}" if endpoint.builder else "default builder"
        raise EngineError(f"buildx has no {wanted}: {result.stderr.strip()}; see: docker buildx ls")
    builder = builder_of(result.stdout)
    # buildx takes a daemon without BuildKit for one that builds in a container of its own.
    if daemon.product == "Podman" and builder.name == DEFAULT_CONTEXT:
        raise EngineError(_without_buildkit(daemon, endpoint.host))
    if builder.driver == "docker" and builder.name != DEFAULT_CONTEXT:
        fix = f"set DOCKER_CONTEXT={builder.name}, or name a builder of another driver"
        raise EngineError(f"builder {builder.name} is the engine of another docker context; {fix}")
    warnings = (
        check_daemon(daemon, builder) if builder.driver == "docker" else check_buildkit(builder)
    )
    return Engine(endpoint, daemon, builder, warnings)


def builder_of(inspected: str) -> Builder:
    """A builder, by what `docker buildx inspect` prints."""

    def field(name: str) -> str:
        found = re.search(rf"^{name}: +(\S+)", inspected, re.MULTILINE)
        return found[1] if found else "unknown"

    return Builder(field("Name"), field("Driver"), field("Build[Kk]it(?: version)?"))


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version; empty for one that says nothing: dev, v0.0.0+unknown."""
    found = re.match(r"v?([0-9]+)\.([0-9]+)(?:\.([0-9]+))?", version)
    parts = tuple(int(part or 0) for part in found.groups()) if found else ()
    return parts if any(parts) else ()


def check_buildkit(builder: Builder) -> tuple[str, ...]:
    """Warnings of a builder with a BuildKit of its own.

    Raises EngineError where that is too old.
    """
    found, oldest = numbers(builder.buildkit), ".".join(map(str, OLDEST_BUILDKIT))
    if not found:
        return (f"{builder}: no version that can be compared; {oldest} or later is needed",)
    if found < OLDEST_BUILDKIT:
        raise EngineError(f"{builder} is too old, {oldest} is needed; {NAME_A_BUILDER}")
    return ()


def check_daemon(daemon: Daemon, builder: Builder) -> tuple[str, ...]:
    """Warnings of a daemon that builds by itself.

    Raises EngineError with the remedies where it cannot.
    """
    if not daemon.containerd_store:
        raise EngineError(
            f"{daemon} answers, and its classic image store cannot write OCI archives; "
            f"either {SWITCH_STORES}, or name a builder: {NAME_A_BUILDER}"
        )
    found, oldest = numbers(daemon.version), ".".join(map(str, OLDEST_DOCKER))
    if numbers(builder.buildkit):
        return check_buildkit(builder)
    if not found:
        return (f"{daemon}: no version that can be compared; {oldest} or later is needed",)
    if found < OLDEST_DOCKER:
        raise EngineError(
            f"{daemon} answers, and {oldest} is needed; install a later Docker, or name a builder:"
            f" {NAME_A_BUILDER}"
        )
    return ()


def check_push(engine: Engine, variant: str) -> None:
    """Refuse a push that would send another manifest than the tested one, before any work.

    Raises EngineError.
    """
    if not engine.daemon.containerd_store:
        cause = f"--push: {engine.daemon} stores images without their manifest"
        raise EngineError(unpushable(cause, variant))


def _without_buildkit(daemon: Daemon, host: str) -> str:
    return (
        f"{daemon} answers at {host}; it loads, tests and tags images, and has no BuildKit to build"
        f" them and cannot push what was tested; name a builder: {NAME_A_BUILDER}"
    )
