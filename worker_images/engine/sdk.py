"""The docker SDK's client of one engine: how it is reached, what it is, and its faults as this
project's.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worker_images.engine.daemon import Address, is_local, query
from worker_images.engine.ssh import bridged
from worker_images.errors import EngineError

if TYPE_CHECKING:
    import docker

CONTAINERD_STORE = "io.containerd.snapshotter"


@dataclass(frozen=True)
class Daemon:
    """What answers at an address."""

    product: str
    version: str
    containerd_store: bool

    def __str__(self) -> str:
        return f"{self.product} {self.version}"

    @property
    def store(self) -> str:
        """The kind of its image store, in words."""
        if self.product == "Podman":
            return "Podman's image store"
        return "containerd image store" if self.containerd_store else "classic image store"


def _connected(url: str, address: Address) -> "docker.DockerClient":
    """A client of the engine that answers at a URL.

    Raises docker's errors, and EngineError for TLS files that are missing.
    """
    import docker

    class Api(docker.APIClient):
        def merge_environment_settings(
            self,
            url: Any,
            proxies: Any,
            stream: Any,
            verify: Any,
            cert: Any,
        ) -> Any:
            # REQUESTS_CA_BUNDLE would overrule the engine's own CA.
            verify = self.verify if verify is None else verify
            return super().merge_environment_settings(url, proxies, stream, verify, cert)

    class Client(docker.DockerClient):
        def __init__(self, **options: Any) -> None:
            self.api = Api(**options)

    return Client(
        base_url=url,
        tls=_tls(address),
        timeout=600,
    )


def _tls(address: Address) -> "docker.tls.TLSConfig | bool":
    import docker.tls

    folder = address.certificates
    if folder is None:
        return False
    authority, pair = folder / "ca.pem", (folder / "cert.pem", folder / "key.pem")
    if address.verify and not authority.is_file():
        fix = "set DOCKER_CERT_PATH to the folder that holds ca.pem, cert.pem and key.pem"
        raise EngineError(
            f"the engine at {address.host} is reached over TLS, and there is no {authority}; {fix}"
        )
    return docker.tls.TLSConfig(
        client_cert=(str(pair[0]), str(pair[1])) if pair[0].is_file() else None,
        ca_cert=str(authority) if address.verify else None,
        verify=address.verify,
    )


@contextlib.contextmanager
def client_of(address: Address) -> Iterator["docker.DockerClient"]:
    """A client of the engine, for the block; raises EngineError."""
    import docker

    host = address.host
    if not answers(host):
        raise EngineError(
            f"the engine at {host} does not answer; start it, or run: ./build.py engine start"
        )
    try:
        with contextlib.ExitStack() as held:
            # The SDK's own ssh knows neither ports nor names of ~/.ssh/config.
            url = held.enter_context(bridged(host)) if host.startswith("ssh://") else host
            yield held.enter_context(contextlib.closing(_connected(url, address)))
    except (docker.errors.DockerException, OSError) as error:
        cause = getattr(error, "explanation", None) or error
        raise EngineError(
            f"the engine at {host}: {cause}; check that engine, or name another in DOCKER_HOST"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        fix = "check what listens there, or name another engine in DOCKER_HOST"
        raise EngineError(
            f"the engine at {host} sent a response that cannot be read ({error!r}); {fix}"
        ) from error


def answers(host: str) -> bool:
    """Whether an engine is there; an address on another machine is believed until it is used."""
    return not is_local(host) or query(host, "/_ping") is not None


def describe(address: Address) -> Daemon:
    """What answers at an address; raises EngineError."""
    with client_of(address) as client:
        version, store = client.version(), str(client.info().get("DriverStatus"))
    names = [str(component.get("Name")) for component in version.get("Components") or ()]
    product = "Podman" if any("podman" in name.lower() for name in names) else "Docker"
    return Daemon(product, str(version.get("Version") or "unknown"), CONTAINERD_STORE in store)
