"""Push of a tested image to a registry: its exact manifest, without moving another image's tag."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from worker_images.engine.daemon import Address, docker_folder
from worker_images.engine.images import split
from worker_images.engine.sdk import client_of
from worker_images.errors import RegistryError

if TYPE_CHECKING:
    import docker

# Messages of registries that hide a repository without a login, whether it exists or not.
HIDDEN = (
    "denied",
    "unauthorized",
    "basic auth credentials",
    "authentication required",
    "forbidden",
)
UNREACHABLE = (
    "dial tcp",
    "no such host",
    "timeout",
    "connection refused",
    "connection reset",
    "tls",
    "x509",
    "http response",
    "eof",
)
ABSENT = ("manifest unknown", "name unknown", "not found")


def push(address: Address, reference: str, digest: str) -> None:
    """Push an image, so that a tag names the manifest with this digest.

    Raises RegistryError before the tag moves if it names another image, or if the engine would
    push another manifest; also if the push fails.
    """
    with client_of(address) as client, _registry(reference):
        present = _registered_digest(client, reference)
        if present == digest:
            return
        if present:
            fix = "choose another tag, or remove that one from the registry"
            raise RegistryError(
                f"pushing {reference}: the tag exists with another image, {present}; {fix}"
            )
        held = client.images.get(reference).id
        if held != digest:
            raise RegistryError(
                f"pushing {reference}: {unpushable(f'this engine names the image {held}')}"
            )
        lines = client.images.push(*split(reference), stream=True, decode=True)
        faults = [str(line["error"]) for line in lines if "error" in line]
        if faults:
            raise RegistryError(
                f"pushing {reference}: {faults[0]}; {_advice(faults[0], reference)}"
            )
        arrived = client.images.get_registry_data(reference).id
    if arrived != digest:
        fix = "remove the tag there, and use an engine with the containerd image store"
        raise RegistryError(
            f"pushing {reference}: tested {digest}, but the registry has {arrived}; {fix}"
        )


def unpushable(cause: str, variant: str = "VARIANT") -> str:
    """The message that an engine cannot push the tested manifest, with alternatives."""
    return (
        f"{cause}, so it would push another manifest than the tested archive's; use an engine with"
        " the containerd image store, or send the archive: skopeo copy"
        f" oci-archive:out/{variant}/image.tar docker://NAME:TAG"
    )


@contextlib.contextmanager
def _registry(reference: str) -> Iterator[None]:
    """Turn errors of credential helpers into RegistryError, which names the configuration file."""
    import docker.errors

    try:
        with warnings.catch_warnings():
            # The SDK warns about a missing helper before it fails.
            warnings.simplefilter("ignore", UserWarning)
            yield
    except docker.errors.APIError:
        raise
    except docker.errors.DockerException as error:
        if "redential" not in str(error):
            raise
        fix = (
            "install that helper, or remove credsStore and credHelpers from the file and run:"
            " docker login"
        )
        raise RegistryError(
            f"pushing {reference}: {docker_folder() / 'config.json'}: {error}; {fix}"
        ) from error


def _registered_digest(client: "docker.DockerClient", reference: str) -> str | None:
    """The digest of a tag in a registry; None if it shows none; raises RegistryError."""
    import docker.errors

    try:
        return str(client.images.get_registry_data(reference).id)
    except docker.errors.NotFound:
        return None
    except docker.errors.APIError as error:
        cause = str(error.explanation or error)
        # Without permission to read a tag, the push itself fails.
        if any(text in cause.lower() for text in (*HIDDEN, *ABSENT)):
            return None
        raise RegistryError(f"pushing {reference}: {cause}; {_advice(cause, reference)}") from error


def _advice(cause: str, reference: str) -> str:
    """The next step after an error of a registry or an engine."""
    if any(text in cause.lower() for text in HIDDEN):
        return f"run: docker login {reference.partition('/')[0]}"
    if any(text in cause.lower() for text in UNREACHABLE):
        return "check the registry's name, the network and the engine's proxies and certificates"
    return "see the registry's log for the reason"
