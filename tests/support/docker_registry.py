"""Debian's docker-registry on a loopback port: plain, with TLS, a password, read-only or full."""

import contextlib
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

from worker_images.fetch import apt
from worker_images.files import CACHE, ROOT
from worker_images.model import pins

USER, PASSWORD = "publisher", "correct horse"
# The bcrypt hash of PASSWORD.
HTPASSWD = f"{USER}:$2b$04$7.KeYtGywiRmA.CePOB0ru70C4AyL2tKDNJym/gMjMeYG4iOPc26G\n"
CERTIFICATES = """\
set -eu
cd "$1"
key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
openssl req -x509 $key -keyout ca.key -out ca.pem -subj /CN=registry-ca
openssl req -x509 $key -keyout server.key -out server.pem -subj /CN=registry -CA ca.pem \\
  -CAkey ca.key -addext basicConstraints=CA:false -addext subjectAltName=IP:127.0.0.1 \\
  -addext extendedKeyUsage=serverAuth
"""


@dataclass(frozen=True)
class Settings:
    """What a registry requires. `certificates` is a folder of `certificates()`."""

    readonly: bool = False
    password: bool = False
    certificates: Path | None = None


def program(folder: Path) -> Path:
    """Unpack Debian's package; return the program."""
    pin = pins.load(ROOT / "versions.yaml")[0].debian
    found = apt.resolve(pin, {"registry": ["docker-registry"]})["registry"]
    (file,) = apt.fetch(
        [package for package in found if package.name == "docker-registry"], CACHE / "debs"
    )
    subprocess.run(["dpkg-deb", "--extract", str(file), str(folder)], check=True)
    return folder / "usr/bin/docker-registry"


def certificates(folder: Path) -> Path:
    """Make a CA, ca.pem, and a server's certificate; return the folder."""
    command = ["sh", "-c", CERTIFICATES, "sh", str(folder)]
    subprocess.run(command, capture_output=True, check=True)
    return folder


@contextlib.contextmanager
def running(program: Path, folder: Path, settings: Settings | None = None) -> Iterator[str]:
    """Run a registry with its data below a folder; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(exist_ok=True)
    configuration = folder / "config.yml"
    configuration.write_text(json.dumps(_configuration(folder, port, settings or Settings())))
    with subprocess.Popen(
        [str(program), "serve", str(configuration)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _wait_for(port, process)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def _configuration(folder: Path, port: int, settings: Settings) -> dict[str, object]:
    """The configuration in JSON, which is YAML."""
    http: dict[str, object] = {"addr": f"127.0.0.1:{port}"}
    if settings.certificates:
        names = {"certificate": "server.pem", "key": "server.key"}
        http["tls"] = {key: str(settings.certificates / name) for key, name in names.items()}
    found: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "data")},
            "maintenance": {"readonly": {"enabled": settings.readonly}},
            "delete": {"enabled": True},
        },
        "http": http,
    }
    if settings.password:
        (folder / "htpasswd").write_text(HTPASSWD)
        found["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    return found


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return
    raise AssertionError("the registry did not start")


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a small file system at a folder, which needs root."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    subprocess.run(command, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def tags(address: str, name: str) -> list[str]:
    """The tags of a repository."""
    with _request("GET", f"http://{address}/v2/{name}/tags/list") as response:
        return sorted(json.load(response)["tags"] or [])


def delete(address: str, name: str, kind: str, digest: str) -> None:
    """Delete one of the manifests or blobs of a repository."""
    with _request("DELETE", f"http://{address}/v2/{name}/{kind}/{digest}") as response:
        assert response.status == 202


def _request(method: str, address: str) -> HTTPResponse:
    request = urllib.request.Request(address, method=method)  # noqa: S310
    found: HTTPResponse = urllib.request.urlopen(request, timeout=30)  # noqa: S310
    return found
