"""Images and containers of one engine, through the docker SDK."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from worker_images.engine.daemon import Address
from worker_images.engine.sdk import client_of
from worker_images.errors import EngineError

if TYPE_CHECKING:
    import docker

SLEEP = ["sleep", "infinity"]
TEST_LABEL = "worker-images.test"
CONFLICT = 409
# What programs of a worker need: soft and hard; -1 is no limit.
LIMITS = {"nofile": (1024, 4096), "fsize": (-1, -1)}


class Images:
    """The images and containers of one engine; every method raises EngineError."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def holds(self, identity: str) -> bool:
        """Whether the engine still has an image."""
        import docker.errors

        with client_of(self.address) as client:
            try:
                return bool(client.images.get(identity).id == identity)
            except docker.errors.ImageNotFound:
                return False

    def identities(self) -> set[str]:
        """Every image that the engine holds."""
        with client_of(self.address) as client:
            return set(client.api.images(quiet=True, all=True))

    def load(self, archive: Path) -> str:
        """Load an image archive and return the id that the engine gives it."""
        with client_of(self.address) as client, archive.open("rb") as stream:
            images = client.images.load(stream)
        if len(images) != 1:
            raise EngineError(f"loading {archive}: {len(images)} images in it, one is wanted")
        return str(images[0].id)

    def save(self, reference: str, destination: Path) -> str:
        """Write an image as an archive and return its id."""
        import docker.errors

        with client_of(self.address) as client, destination.open("wb") as stream:
            try:
                image = client.images.get(reference)
            except docker.errors.ImageNotFound as error:
                fix = "build it, or name another"
                raise EngineError(
                    f"no image {reference} in the engine at {self.address.host}, and no such file;"
                    f" {fix}"
                ) from error
            for chunk in image.save():
                stream.write(chunk)
            return str(image.id)

    def tag(self, identity: str, reference: str) -> None:
        """Point a name at an image."""
        with client_of(self.address) as client:
            client.images.get(identity).tag(*split(reference))

    def remove(self, identity: str) -> None:
        """Forget an image, unless a name points at it or a container uses it."""
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
    def container(
        self, image: str, capabilities: Sequence[str] = (), entrypoint: list[str] | None = None
    ) -> Iterator[str]:
        """The id of a container without network, which lives for the block.

        Without more rights than those named.
        """
        import docker.types

        with client_of(self.address) as client:
            _sweep(client)
            rights = client.api.create_host_config(
                # The engine's defaults may be too low for any sandbox.
                ulimits=[
                    docker.types.Ulimit(name=name, soft=soft, hard=hard)
                    for name, (soft, hard) in LIMITS.items()
                ],
                network_mode="none",
                cap_drop=["ALL"],
                cap_add=list(capabilities),
                # gVisor and runc make namespaces of their own, which the engine's default filters
                # forbid.
                security_opt=["seccomp=unconfined", "apparmor=unconfined", "no-new-privileges"],
            )
            # runc mounts a /proc there, which the kernel allows to nobody whose own /proc is
            # masked.
            rights |= {"MaskedPaths": [], "ReadonlyPaths": []}
            labels = {TEST_LABEL: f"{_here()} {os.getpid()}"}
            made = client.api.create_container(
                image, SLEEP, host_config=rights, labels=labels, entrypoint=entrypoint
            )
            created = client.containers.get(made["Id"])
            try:
                created.start()
                yield str(created.id)
            finally:
                created.remove(force=True, v=True)


def split(reference: str) -> tuple[str, str]:
    """A reference's name and tag."""
    name, separator, tag = reference.rpartition(":")
    return (name, tag) if separator and "/" not in tag else (reference, "latest")


def _here() -> str:
    """Where a process number means something: this boot of this machine, this process namespace."""
    return (
        f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"
        f" {Path('/proc/self/ns/pid').readlink()}"
    )


def _sweep(client: "docker.DockerClient") -> None:
    """Remove the containers of judges that were killed here."""
    for container in client.containers.list(
        all=True, filters={"label": TEST_LABEL}, ignore_removed=True
    ):
        place, _, process = container.labels[TEST_LABEL].rpartition(" ")
        if place == _here() and not Path("/proc", process).exists():
            container.remove(force=True, v=True)
