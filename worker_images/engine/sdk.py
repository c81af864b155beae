"""The docker SDK's client of an engine; its errors become EngineError."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worker_images.engine.daemon import (
    Address,
    cannot_connect,
    is_local,
    query,
    reason_of,
    socket_fault,
)
from worker_images.engine.ssh import tunnel
from worker_images.errors import EngineError

if TYPE_CHECKING:
    import docker

CHECK = "check that engine, or set DOCKER_HOST to another"
CONTAINERD_STORE = "io.containerd.snapshotter"


@dataclass(frozen=True)
class Daemon:
    """The product that responds at an address, and its version."""

    product: str
    version: str
    containerd_store: bool

    def __str__(self) -> str:
        return f"{self.product} {self.version}"

    @property
    def store(self) -> str:
        """The kind of its image store, as text."""
        if self.product == "Podman":
            return "Podman's image store"
        return "containerd image store" if self.containerd_store else "classic image store"


def _connect(url: str, address: Address) -> "docker.DockerClient":
    """A client of the engine at a URL.

    Raises docker's errors, and EngineError for missing TLS files.
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
            # REQUESTS_CA_BUNDLE would override the engine's CA.
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


def _reach(url: str, address: Address) -> "docker.DockerClient":
    """A client, as `_connect`; raises EngineError for the system's error below the SDK's."""
    import docker.errors

    try:
        return _connect(url, address)
    except docker.errors.DockerException as error:
        root: BaseException = error
        while root.__context__:
            root = root.__context__
        if isinstance(root, TimeoutError) or (isinstance(root, OSError) and root.strerror):
            cause = cannot_connect(address.host, reason_of(root))
            raise EngineError(f"{cause}; {CHECK}") from error
        raise


def _tls(address: Address) -> "docker.tls.TLSConfig | bool":
    import docker.tls

    folder = address.certificates
    if folder is None:
        return False
    authority, pair = folder / "ca.pem", (folder / "cert.pem", folder / "key.pem")
    if address.verify and not authority.is_file():
        fix = "set DOCKER_CERT_PATH to the folder that holds ca.pem, cert.pem and key.pem"
        raise EngineError(
            f"the engine at {address.host} needs TLS, but {authority} does not exist; {fix}"
        )
    return docker.tls.TLSConfig(
        client_cert=(str(pair[0]), str(pair[1])) if pair[0].is_file() else None,
        ca_cert=str(authority) if address.verify else None,
        verify=address.verify,
    )


@contextlib.contextmanager
def client_of(address: Address) -> Iterator["docker.DockerClient"]:
    """A client of the engine for the block; raises EngineError."""
    import docker

    host = address.host
    if not responds(host):
        message = cannot_connect(host, socket_fault(host))
        raise EngineError(f"{message}; start it, or run: ./build.py engine start")
    try:
        with contextlib.ExitStack() as stack:
            # The SDK's ssh supports neither ports nor names of ~/.ssh/config.
            url = stack.enter_context(tunnel(host)) if host.startswith("ssh://") else host
            yield stack.enter_context(contextlib.closing(_reach(url, address)))
    except (docker.errors.DockerException, OSError) as error:
        cause = getattr(error, "explanation", None) or error
        raise EngineError(f"the engine at {host}: {cause}; {CHECK}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        fix = "check what listens there, or set DOCKER_HOST to another engine"
        raise EngineError(
            f"the engine at {host} sent a response that cannot be read ({error!r}); {fix}"
        ) from error


def responds(host: str) -> bool:
    """Whether an engine responds; assumed for an address on another machine."""
    return not is_local(host) or query(host, "/_ping") is not None


def describe(address: Address) -> Daemon:
    """The product and version at an address; raises EngineError."""
    with client_of(address) as client:
        version, store = client.version(), str(client.info().get("DriverStatus"))
    names = [str(component.get("Name")) for component in version.get("Components") or ()]
    product = "Podman" if any("podman" in name.lower() for name in names) else "Docker"
    return Daemon(product, str(version.get("Version") or "unknown"), CONTAINERD_STORE in store)
