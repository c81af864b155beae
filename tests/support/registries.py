"""A Go module proxy and release bucket for tests, on a loopback address, with faults on purpose."""

import contextlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.support.loopback import Loopback, background

SOURCE = "pkg/sentry/devices/nvproxy/version.go"
GO_BRANCH = "pkg/sentry/kernel/kernel_state_autogen.go"


@dataclass
class Registry:
    """A body, a status, or the name of a fault for each path, and the received requests.

    With `authorization`, requests need that header.
    """

    address: str
    rows: dict[str, bytes | int | str] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    sent: list[dict[str, str]] = field(default_factory=list)
    authorization: str = ""
    open: threading.Event = field(default_factory=threading.Event)
    hanging: threading.Event = field(default_factory=threading.Event)

    def module(self, path: str, versions: dict[str, str], size: bytes = b"PK") -> None:
        """Serve a module with its versions and their dates."""
        self.rows[f"/{path}/@v/list"] = "".join(f"{version}\n" for version in versions).encode()
        for version, date in versions.items():
            self.rows[f"/{path}/@v/{version}.info"] = json.dumps(
                {"Version": version, "Time": date}
            ).encode()
            self.rows[f"/{path}/@v/{version}.zip"] = size


class Handler(BaseHTTPRequestHandler):
    """Sends the registry's responses."""

    registry: Registry

    def do_GET(self) -> None:
        registry, path = self.registry, self.path.partition("?")[0]
        registry.requests.append((self.command, self.path))
        registry.sent.append(dict(self.headers))
        row = registry.rows.get(path, 404)
        if registry.authorization not in {"", self.headers.get("Authorization")}:
            row = 401
        if row == "hang":
            registry.hanging.set()
            registry.open.wait(30)
            return
        if row == 302:
            self.send_response(302)
            self.send_header("Location", registry.headers[path]["Location"])
            self.end_headers()
            return
        if isinstance(row, int):
            self.send_error(row)
            return
        body = b"half of it" if row == "cut" else row
        assert isinstance(body, bytes)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) * (2 if row == "cut" else 1)))
        for name, value in registry.headers.get(path, {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Do not log."""


@contextlib.contextmanager
def serving() -> Iterator[Registry]:
    """Run a server; yield it."""
    handler = type("Bound", (Handler,), {})
    with Loopback(handler) as server:
        registry = Registry(f"http://127.0.0.1:{server.server_port}")
        handler.registry = registry  # type: ignore[attr-defined]
        with background(server):
            try:
                yield registry
            finally:
                registry.open.set()


def archive(
    supported: Sequence[str], known: Sequence[str] = (), *, branch: str = GO_BRANCH
) -> bytes:
    """Return a module archive of gVisor with the files that are read, such as version.go."""
    calls = [("addDriverABI", driver, ', "00", "00", previous)') for driver in supported]
    calls += [("addUnsupportedDriverABI", driver, ", previous)") for driver in known]
    lines = [f"\t_ = {name}({', '.join(driver.split('.'))}{rest}" for name, driver, rest in calls]
    text = (
        "func addDriverABI(major, minor, patch int, cons driverABIFunc) driverABIFunc {\n"
        + "\n".join(lines)
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as files:
        files.writestr(f"gvisor.dev/gvisor@v0/{SOURCE}", text)
        files.writestr(f"gvisor.dev/gvisor@v0/{branch}", "package kernel\n")
    return out.getvalue()
