"""Images and containers of an engine, through the docker SDK."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from worker_images.engine.daemon import Address
from worker_images.engine.sdk import client_of
from worker_images.errors import EngineError

if TYPE_CHECKING:
    import docker

TEST_LABEL = "worker-images.test"
CONFLICT = 409
# Soft and hard limits that a worker's programs need; -1 is unlimited.
LIMITS = {"nofile": (1024, 4096), "fsize": (-1, -1)}
MEMORY_BYTES = 2 << 30
PROCESSES = 512
LIST_ATTEMPTS = 5


@dataclass(frozen=True)
class Rights:
    """What the programs in a container may do.

    A confined container has the engine's masked and read-only paths, and its system call
    filter. Without them root in the container can change settings of the machine.
    """

    user: str = "0:0"
    capabilities: tuple[str, ...] = ()
    confined: bool = True


CONFINED = Rights()


class Images:
    """The images and containers of an engine; all methods raise EngineError."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def holds(self, identity: str) -> bool:
        """Whether the engine has an image."""
        import docker.errors

        with client_of(self.address) as client:
            try:
                return bool(client.images.get(identity).id == identity)
            except docker.errors.ImageNotFound:
                return False

    def identities(self) -> set[str]:
        """The IDs of all images of the engine."""
        import docker.errors

        with client_of(self.address) as client:
            # The engine fails to list images while another process removes one.
            for _ in range(LIST_ATTEMPTS - 1):
                with contextlib.suppress(docker.errors.NotFound):
                    return set(client.api.images(quiet=True, all=True))
            return set(client.api.images(quiet=True, all=True))

    def load(self, archive: Path) -> str:
        """Load an image archive, and return the ID that the engine gives it."""
        with client_of(self.address) as client, archive.open("rb") as stream:
            images = client.images.load(stream)
        if len(images) != 1:
            raise EngineError(f"loading {archive}: it holds {len(images)} images, want one")
        return str(images[0].id)

    def save(self, reference: str, destination: Path) -> str:
        """Write an image to an archive, and return its ID."""
        import docker.errors

        with client_of(self.address) as client, destination.open("wb") as stream:
            try:
                image = client.images.get(reference)
            except docker.errors.ImageNotFound as error:
                fix = "build it, or use another name"
                raise EngineError(
                    f"{reference} is neither an image in the engine at {self.address.host} nor a"
                    f" file; {fix}"
                ) from error
            for chunk in image.save():
                stream.write(chunk)
            return str(image.id)

    def tag(self, identity: str, reference: str) -> None:
        """Point a name at an image."""
        with client_of(self.address) as client:
            client.images.get(identity).tag(*split(reference))

    def remove(self, identity: str) -> None:
        """Remove an image, unless it has a name or a container uses it."""
        import docker.errors

        with client_of(self.address) as client:
            try:
                if not client.images.get(identity).tags:
                    client.images.remove(identity)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if error.status_code != CONFLICT:
                    raise

    @contextlib.contextmanager
    def container(self, image: str, rights: Rights = CONFINED) -> Iterator[str]:
        """The ID of a container for the block, without a network.

        The image is not trusted: PID 1 is the engine's, and the image's own settings for a user, a
        program to start and a health check are not used.
        """
        with client_of(self.address) as client:
            _remove_stale(client)
            response = client.api.create_container(
                image,
                ["infinity"],
                entrypoint=["sleep"],
                user=rights.user,
                healthcheck={"test": ["NONE"]},
                host_config=_host_config(client, rights),
                labels={TEST_LABEL: f"{_namespace()} {os.getpid()}"},
            )
            created = client.containers.get(response["Id"])
            try:
                created.start()
                yield str(created.id)
            finally:
                created.remove(force=True, v=True)


def _host_config(client: "docker.DockerClient", rights: Rights) -> dict[str, object]:
    import docker.types

    filters = [] if rights.confined else ["seccomp=unconfined", "apparmor=unconfined"]
    found = client.api.create_host_config(
        init=True,
        # Programs of the image cannot fill the machine's disk through the engine's log.
        log_config=docker.types.LogConfig(type="none"),
        # An engine ignores a limit that its control groups do not support.
        mem_limit=MEMORY_BYTES,
        memswap_limit=MEMORY_BYTES,
        pids_limit=PROCESSES,
        # The engine's defaults may be too low for a sandbox.
        ulimits=[
            docker.types.Ulimit(name=name, soft=soft, hard=hard)
            for name, (soft, hard) in LIMITS.items()
        ],
        network_mode="none",
        cap_drop=["ALL"],
        cap_add=list(rights.capabilities),
        security_opt=[*filters, "no-new-privileges"],
    )
    if not rights.confined:
        # Sandboxes mount a /proc, which the kernel forbids in a container with masked paths.
        found |= {"MaskedPaths": [], "ReadonlyPaths": []}
    return dict(found)


def split(reference: str) -> tuple[str, str]:
    """The name and the tag of a reference."""
    name, separator, tag = reference.rpartition(":")
    return (name, tag) if separator and "/" not in tag else (reference, "latest")


def _namespace() -> str:
    """The scope of a process number: this boot of this machine, and this PID namespace."""
    return (
        f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"
        f" {Path('/proc/self/ns/pid').readlink()}"
    )


def _remove_stale(client: "docker.DockerClient") -> None:
    """Remove containers of test runs that were killed on this machine."""
    for container in client.containers.list(
        all=True, filters={"label": TEST_LABEL}, ignore_removed=True
    ):
        namespace, _, process = container.labels[TEST_LABEL].rpartition(" ")
        if namespace == _namespace() and not Path("/proc", process).exists():
            container.remove(force=True, v=True)
