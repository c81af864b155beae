"""An HTTP server on a loopback address that sends faulty responses on purpose."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.support.loopback import Loopback, background

CONTENT = bytes(range(256)) * 64


@dataclass
class Server:
    """The faults of the next requests, and the paths and passwords of the received ones.

    After the last fault responses are correct. `serves` overrides CONTENT by path.
    """

    address: str
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    passwords: list[str | None] = field(default_factory=list)
    serves: dict[str, bytes] = field(default_factory=dict)
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    """Responds with the next fault of the server."""

    server_state: Server

    def do_GET(self) -> None:
        state = self.server_state
        state.requests.append(self.path)
        state.passwords.append(self.headers.get("Authorization"))
        fault = state.faults.pop(0) if state.faults else ""
        content = state.serves.get(self.path, CONTENT)
        if fault.isdigit():
            self.send_error(int(fault))
        elif fault.startswith("to "):
            self.send_response(302)
            self.send_header("Location", fault.removeprefix("to "))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._body(fault, content)

    def _body(self, fault: str, content: bytes) -> None:
        changed = {
            "flip": b"x" + content[1:],
            "html": b"<html>log in</html>",
            "endless": content * 2,
            "short": content[:-1],
        }
        body = changed.get(fault, content)
        self.send_response(200)
        if fault != "short":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        sent = {"cut": len(body) // 2, "empty": 0}.get(fault, len(body))
        if fault.startswith("stall "):
            self.wfile.write(body[: int(fault.removeprefix("stall "))])
            self.wfile.flush()
            self.server_state.stalled.set()
            self.server_state.go_on.wait(60)
            return
        if fault == "drip":
            # One byte at a time until the client closes: no single read times out.
            with contextlib.suppress(OSError):
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    self.server_state.go_on.wait(0.02)
            return
        self.wfile.write(body[:sent])

    def log_message(self, *_: object) -> None:
        """Do not log."""


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """Run a server; yield it."""
    handler = type("Bound", (Handler,), {})
    with Loopback(handler) as server:
        state = Server(f"http://127.0.0.1:{server.server_port}")
        handler.server_state = state  # type: ignore[attr-defined]
        with background(server):
            yield state
            state.go_on.set()
