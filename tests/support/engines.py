"""A loopback engine: a socket that speaks as much of Docker's API as a test writes down, and notes
each request.
"""

import contextlib
import hashlib
import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

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
    """What lies at each path, without the API's version: a status and a body."""

    host: str
    rows: dict[str, tuple[int, str]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def answer(self, path: str, body: object, status: int = 200) -> None:
        """Write down one answer; text stays as it is."""
        self.rows[path] = (status, body if isinstance(body, str) else json.dumps(body))

    def is_a(self, version: object, store: object) -> None:
        """Answer as an engine of one kind."""
        self.answer("/_ping", "OK")
        self.answer("/version", version)
        self.answer("/info", store)


class Handler(BaseHTTPRequestHandler):
    """Answers as the engine's rows say; what no row names is a 404."""

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
        """A socket's peer has no address."""
        return "local"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """One thread a connection."""

    daemon_threads = True


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Engine]:
    """An engine of its own, ended with the block."""
    path = folder / "engine.sock"
    engine = Engine(f"unix://{path}")
    handler = type("Bound", (Handler,), {"engine": engine})
    with Server(str(path), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield engine
        finally:
            server.shutdown()
            thread.join()


def configured(folder: Path, **settings: object) -> None:
    """Write config.json of the docker command."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))


def context(folder: Path, name: str, **endpoint: object) -> Path:
    """Write a docker context as `docker context create` does, and return its folder of TLS
    files.
    """
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts/meta" / key / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    return folder / "contexts/tls" / key / "docker"
