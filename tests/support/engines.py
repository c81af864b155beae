"""An engine for tests: a socket that serves configured responses of Docker's API."""

import contextlib
import hashlib
import json
import socketserver
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.support.loopback import background

DOCKER = {
    "Version": "28.5.2",
    "ApiVersion": "1.45",
    "MinAPIVersion": "1.24",
    "Components": [{"Name": "Engine"}],
}
PODMAN = {
    "Version": "5.8.6",
    "ApiVersion": "1.41",
    "MinAPIVersion": "1.24",
    "Components": [{"Name": "Podman Engine"}],
}
CONTAINERD = {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}
CLASSIC = {"DriverStatus": [["Backing Filesystem", "extfs"]]}


@dataclass
class Engine:
    """A status and a body for each path, without the API version, and the received requests."""

    host: str
    rows: dict[str, tuple[int, str]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def answer(self, path: str, body: object, status: int = 200) -> None:
        """Set the response for a path; a body other than text is encoded as JSON."""
        self.rows[path] = (status, body if isinstance(body, str) else json.dumps(body))

    def is_a(self, version: object, store: object) -> None:
        """Respond as a kind of engine with a kind of image store."""
        self.answer("/_ping", "OK")
        self.answer("/version", version)
        self.answer("/info", store)


class Handler(BaseHTTPRequestHandler):
    """Sends the engine's responses, and 404 for other paths."""

    engine: Engine

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/v1."):
            path = f"/{path.split('/', 2)[2]}"
        self.engine.requests.append(f"{self.command} {path}")
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, text = self.engine.rows.get(path, (404, '{"message": "no such image"}'))
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - http.server's names
    do_DELETE = do_GET  # noqa: N815

    def address_string(self) -> str:
        """Return a name, because the peer of a Unix socket has no address."""
        return "local"

    def log_message(self, *_: object) -> None:
        """Do not log."""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """One thread for each connection."""

    daemon_threads = True


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Engine]:
    """Run an engine; yield it."""
    path = folder / "engine.sock"
    engine = Engine(f"unix://{path}")
    handler = type("Bound", (Handler,), {"engine": engine})
    with Server(str(path), handler) as server, background(server):
        yield engine


def configured(folder: Path, **settings: object) -> None:
    """Write the docker command's config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))


def context(folder: Path, name: str, **endpoint: object) -> Path:
    """Write a docker context, as `docker context create` does; return its folder of TLS files."""
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts/meta" / key / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    return folder / "contexts/tls" / key / "docker"
