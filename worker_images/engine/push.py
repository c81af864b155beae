"""Sending a tested image to a registry: exactly its manifest, under a tag that names no other."""

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

# A registry that does not show a repository without a login says so with these words, also where
# there is none.
HIDDEN = (
    "denied",
    "unauthorized",
    "basic auth credentials",
    "authentication required",
    "forbidden",
)
UNREACHED = (
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
    """Have a registry serve one manifest digest under a tag.

    Raises RegistryError, before the tag moves, where the tag names another image or the engine
    would push another manifest; and where the push fails.
    """
    with client_of(address) as client, _registry(reference):
        present = _registered(client, reference)
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
                f"pushing {reference}: {unpushable(f'the image is {held} in this engine')}"
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
            f"pushing {reference}: tested was {digest}, the registry has {arrived}; {fix}"
        )


def unpushable(cause: str, variant: str = "VARIANT") -> str:
    """Why an engine cannot push what was tested, and what can."""
    return (
        f"{cause}, so it would push another manifest than the tested archive's; use an engine with"
        " the containerd image store, or send the archive: skopeo copy"
        f" oci-archive:out/{variant}/image.tar docker://NAME:TAG"
    )


@contextlib.contextmanager
def _registry(reference: str) -> Iterator[None]:
    """Name the configuration file where the credentials for a registry cannot be had."""
    import docker.errors

    try:
        with warnings.catch_warnings():
            # The SDK warns of a missing helper, and then fails for it.
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


def _registered(client: "docker.DockerClient", reference: str) -> str | None:
    """The digest that a registry has under a tag, None where it shows none.

    Raises RegistryError.
    """
    import docker.errors

    try:
        return str(client.images.get_registry_data(reference).id)
    except docker.errors.NotFound:
        return None
    except docker.errors.APIError as error:
        cause = str(error.explanation or error)
        # Who may not read a tag may not push it either: the push itself says so.
        if any(words in cause.lower() for words in (*HIDDEN, *ABSENT)):
            return None
        raise RegistryError(f"pushing {reference}: {cause}; {_advice(cause, reference)}") from error


def _advice(cause: str, reference: str) -> str:
    """The next step after a registry's or an engine's words."""
    if any(word in cause.lower() for word in HIDDEN):
        return f"run: docker login {reference.partition('/')[0]}"
    if any(words in cause.lower() for words in UNREACHED):
        return "check the registry's name, the network and the engine's proxies and certificates"
    return "the registry refused it; its log says why"
