"""Where an engine answers, and one question to its socket: with the standard library alone, cheap
enough for the quick path.
"""

import contextlib
import hashlib
import http.client
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from worker_images.files import home

TIMEOUT_SECONDS = 5
DEFAULT_CONTEXT = "default"


@dataclass(frozen=True)
class Address:
    """An engine's URL and, where it is reached over TLS, the folder of ca.pem, cert.pem and
    key.pem.
    """

    host: str
    certificates: Path | None = None
    verify: bool = True

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which the docker command finds the engine."""
        if not self.certificates:
            return {"DOCKER_HOST": self.host}
        switch = "DOCKER_TLS_VERIFY" if self.verify else "DOCKER_TLS"
        return {"DOCKER_HOST": self.host, "DOCKER_CERT_PATH": str(self.certificates), switch: "1"}


def docker_folder() -> Path:
    """The folder of the docker command's configuration."""
    return Path(os.environ.get("DOCKER_CONFIG") or home() / ".docker")


def address_of(host: str) -> Address:
    """The address of a host that the environment names, with the environment's TLS settings."""
    verify = bool(os.environ.get("DOCKER_TLS_VERIFY"))
    if not host.startswith("tcp://") or not (verify or os.environ.get("DOCKER_TLS")):
        return Address(host)
    return Address(host, Path(os.environ.get("DOCKER_CERT_PATH") or docker_folder()), verify)


def current_context() -> str:
    """The name of the context that the docker command uses where DOCKER_HOST is not set."""
    if named := os.environ.get("DOCKER_CONTEXT"):
        return named
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found = json.loads((docker_folder() / "config.json").read_text()).get("currentContext")
        return str(found or DEFAULT_CONTEXT)
    return DEFAULT_CONTEXT


def context_address(name: str) -> Address | None:
    """The address that a docker context names; None where no such context can be read."""
    # The folders that the docker command keeps contexts in.
    key = hashlib.sha256(name.encode()).hexdigest()
    contexts = docker_folder() / "contexts"
    try:
        endpoint = json.loads((contexts / "meta" / key / "meta.json").read_text())["Endpoints"][
            "docker"
        ]
        host, verify = str(endpoint["Host"]), not endpoint.get("SkipTLSVerify")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    certificates = contexts / "tls" / key / "docker"
    return Address(host, certificates if certificates.is_dir() else None, verify)


def is_local(host: str) -> bool:
    """Whether the address is a socket on this machine."""
    return host.startswith("unix://")


def query(host: str, path: str) -> dict[str, object] | None:
    """The JSON object behind a path, empty for other text.

    None where nobody answers or the answer is no.
    """
    connection = http.client.HTTPConnection("engine", timeout=TIMEOUT_SECONDS)
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(TIMEOUT_SECONDS)
        try:
            channel.connect(str(Path(host.removeprefix("unix://"))))
            connection.sock = channel
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return None
    if answer.status != 200:
        return None
    return dict(json.loads(body)) if body.startswith(b"{") else {}
