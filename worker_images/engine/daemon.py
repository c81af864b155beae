"""Addresses of engines, and simple queries to their sockets.

Uses the standard library alone, so that it loads fast.
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
    """An engine's URL, and for TLS the folder with ca.pem, cert.pem and key.pem."""

    host: str
    certificates: Path | None = None
    verify: bool = True

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which the docker command finds the engine."""
        if not self.certificates:
            return {"DOCKER_HOST": self.host}
        switch = "DOCKER_TLS_VERIFY" if self.verify else "DOCKER_TLS"
        return {"DOCKER_HOST": self.host, "DOCKER_CERT_PATH": str(self.certificates), switch: "1"}


def docker_folder() -> Path:
    """The folder of the docker command's configuration."""
    return Path(os.environ.get("DOCKER_CONFIG") or home() / ".docker")


def address_of(host: str) -> Address:
    """The address of a host, with the TLS settings of the environment."""
    verify = bool(os.environ.get("DOCKER_TLS_VERIFY"))
    if not host.startswith("tcp://") or not (verify or os.environ.get("DOCKER_TLS")):
        return Address(host)
    return Address(host, Path(os.environ.get("DOCKER_CERT_PATH") or docker_folder()), verify)


def current_context() -> str:
    """The name of the context that the docker command uses without DOCKER_HOST."""
    if named := os.environ.get("DOCKER_CONTEXT"):
        return named
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found = json.loads((docker_folder() / "config.json").read_text()).get("currentContext")
        return str(found or DEFAULT_CONTEXT)
    return DEFAULT_CONTEXT


def context_address(name: str) -> Address | None:
    """The address in a docker context; None if the context cannot be read."""
    # The docker command keeps contexts in folders with these names.
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
    """Whether the URL is a socket on this machine."""
    return host.startswith("unix://")


def cannot_connect(host: str, reason: str) -> str:
    """The message for an engine without a connection, in the words of the docker command."""
    return f"cannot connect to the Docker daemon at {host}: {reason}"


def socket_fault(host: str) -> str:
    """Why a socket on this machine gives no response."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(TIMEOUT_SECONDS)
        try:
            channel.connect(host.removeprefix("unix://"))
        except OSError as error:
            return reason_of(error)
    return "no response"


def reason_of(error: OSError) -> str:
    """The error of the system, as text within a sentence."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def query(host: str, path: str) -> dict[str, object] | None:
    """The JSON object at a path of the API; empty for other text.

    None without a response, and for a status other than 200.
    """
    connection = http.client.HTTPConnection("engine", timeout=TIMEOUT_SECONDS)
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(TIMEOUT_SECONDS)
        try:
            channel.connect(host.removeprefix("unix://"))
            connection.sock = channel
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            return None
    if response.status != 200:
        return None
    return dict(json.loads(body)) if body.startswith(b"{") else {}
