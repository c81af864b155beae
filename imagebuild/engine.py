"""Container engines: the one that answers, or a private one; images and containers through the docker SDK."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild.errors import EngineError

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

MACHINE_SOCKET = Path("/var/run/docker.sock")
# Docker 26.0 is the first whose BuildKit (0.13) rewrites timestamps and writes OCI archives.
OLDEST_DOCKER = 26
OLDEST_BUILDKIT = (0, 13)
JUDGE_LABEL = "worker-images.judge"
REMEDIES = (
    "either set {\"features\": {\"containerd-snapshotter\": true}} in daemon.json of Docker 26 or later, "
    "or name a builder: docker buildx create --name worker && ./build.py --builder worker"
)


def state_folder() -> Path:
    """The cache that all checkouts of one user share."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "worker-images"


@dataclass(frozen=True)
class Endpoint:
    """A running engine: its address and the buildx command that talks to it."""

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
        self.state = state_folder() / "engine"
        self.root = self.state / "root"
        self.host = f"unix://{self.state / 'docker.sock'}"
        self.client = self.state / "bin"

    def run(self, action: str) -> str:
        """Do start, stop or status; raises EngineError with what the script said."""
        result = subprocess.run([str(self.script), action, str(self.state)], capture_output=True, text=True, check=False)
        if result.returncode:
            raise EngineError(result.stderr.strip() or result.stdout.strip())
        return result.stdout.strip()

    @property
    def running(self) -> bool:
        """Whether it answers."""
        return (self.state / "pid").exists() and _answers(self.host)

    def endpoint(self, builder: str | None = None) -> Endpoint:
        """Its address, with the buildx that came with it."""
        plugin = self.root / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-buildx"
        return Endpoint(self.host, (str(plugin),), str(self.root / "usr" / "bin" / "docker"), builder)

    def write_client(self) -> None:
        """Put a docker command with buildx in place, for shells on machines that have none."""
        self.client.mkdir(parents=True, exist_ok=True)
        script = self.client / "docker"
        script.write_text(
            "#!/bin/sh\n"
            'case ${1:-} in\n'
            f'  buildx) shift; exec "{self.endpoint().buildx[0]}" "$@" ;;\n'
            f'  build) exec "{self.endpoint().buildx[0]}" "$@" ;;\n'
            "esac\n"
            f'exec "{self.root}/usr/bin/docker" "$@"\n'
        )
        script.chmod(0o755)


def find(private: PrivateEngine, builder: str | None = None) -> Endpoint | None:
    """The engine that answers, or None; raises EngineError for one that answers and cannot do the work."""
    named = os.environ.get("DOCKER_HOST")
    if named and named != private.host:
        if not _answers(named):
            raise EngineError(f"DOCKER_HOST={named} does not answer; start that engine, or unset DOCKER_HOST")
        return _usable(_outside(named, private, builder))
    if not named and MACHINE_SOCKET.exists() and _answers(f"unix://{MACHINE_SOCKET}"):
        return _usable(_outside(f"unix://{MACHINE_SOCKET}", private, builder))
    return private.endpoint(builder) if private.running else None


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
    raise EngineError("no docker command with buildx on this machine; install docker-cli and docker-buildx, or run: make engine")


def _answers(host: str) -> bool:
    with contextlib.suppress(Exception), _client(host) as client:
        return bool(client.ping())
    return False


def _usable(endpoint: Endpoint) -> Endpoint:
    result = subprocess.run(
        [*endpoint.buildx, "inspect", *([endpoint.builder] if endpoint.builder else [])],
        capture_output=True, text=True, check=False, env=endpoint.environment,
    )
    if result.returncode:
        raise EngineError(f"no buildx builder {endpoint.builder or 'by default'}: {result.stderr.strip()}; see: docker buildx ls")
    driver = re.search(r"^Driver: +(\S+)", result.stdout, re.MULTILINE)
    version = re.search(r"^Build[Kk]it(?: version)?: +v?([0-9]+)\.([0-9]+)", result.stdout, re.MULTILINE)
    if driver and driver[1] != "docker":
        if version and (int(version[1]), int(version[2])) < OLDEST_BUILDKIT:
            raise EngineError(f"builder {endpoint.builder or 'default'} has BuildKit {version[1]}.{version[2]}, 0.13 is needed; {REMEDIES}")
        return endpoint
    with _client(endpoint.host) as client:
        check_store(client.info(), client.version()["Version"])
    return endpoint


def check_store(info: Mapping[str, object], version: str) -> None:
    """Refuse a daemon that cannot write OCI archives; raises EngineError with both remedies."""
    if int(version.split(".")[0]) < OLDEST_DOCKER:
        raise EngineError(f"Docker {version} answers, its BuildKit is older than 0.13; {REMEDIES}")
    if "io.containerd.snapshotter" not in str(info.get("DriverStatus")):
        raise EngineError(f"Docker {version} answers, its classic image store cannot write OCI archives; {REMEDIES}")


@contextlib.contextmanager
def _client(host: str) -> Iterator["docker.DockerClient"]:
    import docker

    client = docker.DockerClient(base_url=host, timeout=600)
    try:
        yield client
    finally:
        client.close()


class Images:
    """The images and containers of one engine."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def holds(self, identity: str, reference: str | None = None) -> bool:
        """Whether the engine has this image, and under this tag when one is given."""
        import docker.errors

        with _client(self.endpoint.host) as client:
            try:
                found = client.images.get(reference or identity)
            except docker.errors.ImageNotFound:
                return False
        return bool(found.id == identity)

    def load(self, archive: Path) -> str:
        """Load an image archive and return the id that the engine gives it; raises EngineError."""
        import docker.errors

        with _client(self.endpoint.host) as client, archive.open("rb") as stream:
            try:
                images = client.images.load(stream)
            except docker.errors.DockerException as error:
                raise EngineError(f"loading {archive}: {error}") from error
            if len(images) != 1:
                raise EngineError(f"loading {archive}: {len(images)} images in it, one is wanted")
            return str(images[0].id)

    def save(self, reference: str, destination: Path) -> str:
        """Write an image as an archive and return its id; raises EngineError."""
        import docker.errors

        with _client(self.endpoint.host) as client:
            try:
                image = client.images.get(reference)
            except docker.errors.ImageNotFound as error:
                raise EngineError(f"no image {reference} in the engine; build it, or name a file") from error
            with destination.open("wb") as stream:
                for chunk in image.save():
                    stream.write(chunk)
            return str(image.id)

    def tag(self, identity: str, reference: str) -> None:
        """Point a name at an image."""
        import docker.errors

        name, _, tag = reference.rpartition(":") if ":" in reference.rpartition("/")[2] else (reference, "", "latest")
        with _client(self.endpoint.host) as client:
            try:
                client.images.get(identity).tag(name, tag)
            except docker.errors.APIError as error:
                raise EngineError(f"tagging {reference}: {error.explanation}") from error

    def remove(self, identity: str) -> None:
        """Forget an image that no name points at; what is in use stays."""
        import docker.errors

        with _client(self.endpoint.host) as client, contextlib.suppress(docker.errors.APIError):
            if not client.images.get(identity).tags:
                client.images.remove(identity)

    @contextlib.contextmanager
    def container(self, image: str, *, user: str = "", command: tuple[str, ...] = ("sleep", "infinity")) -> Iterator[str]:
        """A container without network or capabilities that lives for the block; raises EngineError."""
        import docker.errors

        with _client(self.endpoint.host) as client:
            sweep(client)
            created: Container | None = None
            try:
                created = client.containers.create(
                    image, entrypoint=list(command), command=[], user=user, network_mode="none", init=True,
                    cap_drop=["ALL"], security_opt=["seccomp=unconfined", "apparmor=unconfined", "no-new-privileges"],
                    labels={JUDGE_LABEL: str(os.getpid())},
                )
                created.start()
                yield str(created.id)
            except docker.errors.DockerException as error:
                raise EngineError(f"running {image}: {error}") from error
            finally:
                if created:
                    created.remove(force=True)


def sweep(client: "docker.DockerClient") -> None:
    """Remove the containers of judges that were killed."""
    for container in client.containers.list(all=True, filters={"label": JUDGE_LABEL}):
        if not Path("/proc", container.labels[JUDGE_LABEL]).exists():
            container.remove(force=True)


def check_space(folders: Mapping[str, Path], needed: int) -> None:
    """Refuse to begin where a disk would fill; raises EngineError naming the folder."""
    for purpose, folder in folders.items():
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        if free < needed:
            raise EngineError(f"{folder}: {free / 1e9:.1f} GB free for {purpose}, {needed / 1e9:.0f} GB are needed; free some, or set XDG_CACHE_HOME")


