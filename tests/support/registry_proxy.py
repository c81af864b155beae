"""An HTTP proxy in front of a real registry: it records requests, and adds faults on purpose.

It can also add what Debian's registry lacks: Bearer tokens that expire, and the referrers API.
"""

import base64
import contextlib
import http.client
import json
import re
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler

from tests.support.docker_registry import PASSWORD, USER
from tests.support.loopback import Loopback, background

INDEX = "application/vnd.oci.image.index.v1+json"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
ALWAYS = 10**9
# The codes of errors that Debian's registry sends.
CODES = {
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "UNKNOWN",
    429: "TOOMANYREQUESTS",
    500: "UNKNOWN",
    503: "UNAVAILABLE",
}
# A status; a function, after which the connection is closed unless it returns True; or a name:
# reset: close the connection; cut: send half of the response; half: read half of the request;
# flip: change a byte of the response; digest: send another digest; exists: respond that a blob
# exists; drop: respond that a manifest was stored, and do not store it; hang: read half of the
# request and do no more; stall: send half of the response and do no more.
Act = int | str | Callable[[], object]


@dataclass
class Fault:
    """What happens to requests whose "METHOD PATH" matches, after the first `skip` of them.

    The registry gets the request first if `after` is set.
    """

    pattern: str
    act: Act
    times: int = 1
    skip: int = 0
    after: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    def again(self) -> "Fault":
        """The fault with all its times left."""
        return replace(self)


@dataclass(frozen=True)
class Exchange:
    """A request, the size of its body, and the status of the response; 0 without a response."""

    line: str
    sent: int
    status: int
    body: bytes = field(default=b"", repr=False)


@dataclass
class Proxy:
    """The address, the faults and the received requests.

    With `token_uses`, requests need a token, which is valid for so many of them, and for the PUT
    requests that end uploads.
    """

    address: str
    backend: str
    faults: list[Fault] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    token_uses: int = 0
    has_referrers: bool = False
    tokens: dict[str, int] = field(default_factory=dict)
    referrers: dict[str, list[object]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def lines(self, pattern: str) -> list[str]:
        """The received requests that match."""
        return [each.line for each in self.exchanges if re.search(pattern, each.line)]

    def take(self, line: str) -> Fault | None:
        """The fault for a request."""
        with self.lock:
            for fault in self.faults:
                if fault.times and re.search(fault.pattern, line):
                    if fault.skip:
                        fault.skip -= 1
                    else:
                        fault.times -= 1
                        return fault
        return None

    def accepts(self, authorization: str, *, counts: bool) -> bool:
        """Whether a request has a token, and, if it counts, one with uses left."""
        token = authorization.removeprefix("Bearer ")
        with self.lock:
            if not counts:
                return token in self.tokens
            self.tokens[token] = self.tokens.get(token, 0) - 1
            return self.tokens[token] >= 0


class Handler(BaseHTTPRequestHandler):
    """Passes requests to the registry, or does what a fault says."""

    proxy: Proxy
    # A client that begins with TLS gets a response that it understands.
    default_request_version = "HTTP/1.0"

    def do_GET(self) -> None:
        line = f"{self.command} {self.path}"
        size = int(self.headers.get("Content-Length") or 0)
        fault = self.proxy.take(line) or Fault("", "")
        if fault.act in {"half", "hang"}:
            self.rfile.read(size // 2)
            return self._closed(line) if fault.act == "half" else self._stalled()
        body = self.rfile.read(size)
        if callable(fault.act) or fault.act == "reset":
            response = self._forwarded(body) if fault.after else None
            if not (callable(fault.act) and fault.act()):
                return self._closed(line)
            return self._respond(line, body, *(response or self._forwarded(body)))
        if isinstance(fault.act, int):
            error = {"code": CODES[fault.act], "message": "a fault on purpose"}
            text = json.dumps({"errors": [error]}).encode()
            return self._respond(line, body, fault.act, dict(fault.headers), text)
        if fault.act in {"exists", "drop"}:
            status = 200 if fault.act == "exists" else 201
            return self._respond(line, body, status, {"Docker-Content-Digest": _digest(line)}, b"")
        if self.proxy.token_uses and (answer := self._authentication()):
            return self._respond(line, body, *answer)
        if self.proxy.has_referrers and "/referrers/" in line:
            found = self.proxy.referrers.get(_digest(line), [])
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": found}
            return self._respond(
                line, body, 200, {"Content-Type": INDEX}, json.dumps(index).encode()
            )
        status, headers, content = self._forwarded(body)
        if fault.act == "digest":
            headers["Docker-Content-Digest"] = f"sha256:{64 * '0'}"
        if fault.act == "flip":
            content = content[:-1] + bytes([content[-1] ^ 1])
        half = fault.act in {"cut", "stall"}
        self._respond(line, body, status, headers, content, cut=half)
        return self._stalled() if fault.act == "stall" else None

    def _respond(
        self,
        line: str,
        body: bytes,
        status: int,
        headers: Mapping[str, str],
        content: bytes,
        *,
        cut: bool = False,
    ) -> None:
        self.proxy.exchanges.append(Exchange(line, len(body), status, body))
        self.send_response_only(status)
        for name, text in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)

    def _closed(self, line: str) -> None:
        """Reset the connection."""
        self.proxy.exchanges.append(Exchange(line, 0, 0))
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _stalled(self) -> None:
        """Wait until the client closes the connection."""
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            while self.connection.recv(1 << 16):
                pass

    def _forwarded(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.proxy.backend)
        with contextlib.closing(connection):
            sent = {name: text for name, text in self.headers.items() if name != "Authorization"}
            connection.request(self.command, self.path, body, {**sent, "Connection": "close"})
            response = connection.getresponse()
            headers = {name: text for name, text in response.getheaders() if name != "Connection"}
            content = response.read()
        if self.command == "PUT" and "/manifests/" in self.path and self.proxy.has_referrers:
            self._attach(body, headers)
        return response.status, headers, content

    def _attach(self, body: bytes, headers: dict[str, str]) -> None:
        """Record the subject of a manifest."""
        manifest = json.loads(body)
        if subject := manifest.get("subject"):
            headers["OCI-Subject"] = subject["digest"]
            entry = {key: manifest[key] for key in ("mediaType", "artifactType", "annotations")}
            entry |= {"digest": headers["Docker-Content-Digest"], "size": len(body)}
            self.proxy.referrers.setdefault(subject["digest"], []).append(entry)

    def _authentication(self) -> tuple[int, dict[str, str], bytes] | None:
        """A token for a user, or the refusal of a request without a valid token."""
        authorization = self.headers.get("Authorization") or ""
        if not self.path.startswith("/token"):
            ends_upload = self.command == "PUT" and "/blobs/uploads/" in self.path
            if self.proxy.accepts(authorization, counts=not ends_upload):
                return None
            realm = f'realm="http://{self.proxy.address}/token",service="tests"'
            scope = 'scope="repository:team/worker:pull,push"'
            return 401, {"WWW-Authenticate": f"Bearer {realm},{scope}"}, b"{}"
        if authorization != BASIC:
            return 401, {}, b"{}"
        token = f"secret-{secrets.token_hex(8)}"
        self.proxy.tokens[token] = self.proxy.token_uses
        return 200, {}, json.dumps({"token": token, "expires_in": 300}).encode()

    do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Do not log."""


def _digest(line: str) -> str:
    """The digest that a request names; empty if it names none."""
    found = re.search(r"sha256:[0-9a-f]{64}", line)
    return found[0] if found else ""


@contextlib.contextmanager
def proxying(backend: str, *, token_uses: int = 0, has_referrers: bool = False) -> Iterator[Proxy]:
    """Run a proxy in front of a registry's address; yield it."""
    handler = type("Bound", (Handler,), {})
    with Loopback(handler) as server:
        address = f"127.0.0.1:{server.server_port}"
        proxy = Proxy(address, backend, token_uses=token_uses, has_referrers=has_referrers)
        handler.proxy = proxy  # type: ignore[attr-defined]
        with background(server):
            yield proxy
