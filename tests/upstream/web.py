"""HTTP servers that answer as each host, from files, with the faults that a test asks for."""

import base64
import contextlib
import hashlib
import json
import re
import ssl
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from typing import Any
from urllib.parse import unquote

from tests.upstream import hosts

EXPIRED = "expired"
CHALLENGE = f'Bearer realm="https://{hosts.TOKENS}/token",service="registry.docker.io"'
LOGIN = "Basic " + base64.b64encode(f"{hosts.USER}:{hosts.PASSWORD}".encode()).decode()


@dataclass
class State:
    """The files of all hosts, and a folder with faults.json, requests.log and certificates."""

    sites: Path
    folder: Path
    used: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, host: str, path: str, kinds: str = ".*") -> str:
        """The next fault for a request; empty for none."""
        with self.lock:
            for row in json.loads((self.folder / "faults.json").read_text()):
                name = json.dumps(row)
                if (
                    row["host"] == host
                    and re.fullmatch(kinds, row["kind"])
                    and re.search(row.get("path", ""), path)
                    and self.used[name] < row.get("times", 1000)
                ):
                    self.used[name] += 1
                    return str(row["kind"])
        return ""

    def note(self, *words: str) -> None:
        """Append a line to requests.log."""
        with self.lock, (self.folder / "requests.log").open("a") as file:
            file.write(" ".join(words) + "\n")

    def context(self) -> ssl.SSLContext:
        """TLS with the certificate of the name that a client asks for."""
        own = {name: self._context(name) for name in (*hosts.NAMES, EXPIRED)}

        def choose(channel: ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
            if name in own:
                is_expired = self.fault(name, "", EXPIRED)
                channel.context = own[EXPIRED if is_expired else name]

        context = self._context(hosts.OTHER)
        context.sni_callback = choose  # type: ignore[assignment]
        return context

    def _context(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        folder = self.folder / "certificates"
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        return context


class Server(ThreadingHTTPServer):
    """One thread for each connection, on all addresses, with or without TLS."""

    daemon_threads = True

    def __init__(
        self, port: int, handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None
    ) -> None:
        self.tls = tls
        super().__init__(("", port), handler)

    def get_request(self) -> tuple[socket, Any]:
        """A connection; its handshake is that of the handler's thread."""
        channel, address = super().get_request()
        if self.tls:
            channel = self.tls.wrap_socket(channel, server_side=True, do_handshake_on_connect=False)
        return channel, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that refuse a certificate close the connection."""


class Handler(BaseHTTPRequestHandler):
    """Answers for the host of the request."""

    protocol_version = "HTTP/1.1"
    state: State

    def do_GET(self) -> None:
        host, path = self.headers["Host"].partition(":")[0], unquote(self.path.partition("?")[0])
        self.state.note(self.command, host, path)
        fault = self.state.fault(host, path, f"(?!{EXPIRED}|away).*")
        if fault[:3].isdigit():
            status, _, header = fault.partition(" ")
            self._send(int(status), b"{}", dict([header.split(": ")] if header else []))
        elif fault.startswith("to "):
            self._send(302, b"", {"Location": fault.removeprefix("to ")})
        else:
            self._answer(host, path, fault)

    do_HEAD = do_GET  # noqa: N815 - http.server's names

    def _answer(self, host: str, path: str, fault: str) -> None:
        authorization = self.headers.get("Authorization", "")
        if host == hosts.TOKENS:
            self._send(200, b'{"token": "stand-in", "expires_in": 300}', {})
        elif host == hosts.HUB and not authorization.startswith("Bearer "):
            self._send(401, b"{}", {"WWW-Authenticate": CHALLENGE})
        elif host == hosts.MIRROR and authorization != LOGIN:
            self._send(401, b"{}", {"WWW-Authenticate": 'Basic realm="mirror"'})
        elif host == hosts.GITHUB and "/releases/download/" in path:
            self._send(302, b"", {"Location": f"https://{hosts.ASSETS}{path}?sig=0123"})
        elif path == "/v2/":
            self._send(200, b"{}", {})
        else:
            self._file(self._place(host, path), fault)

    def _place(self, host: str, path: str) -> Path:
        """The file of a request; the mirror has those of the others."""
        if host == hosts.MIRROR and path.startswith("/v2/docker-hub/"):
            host, path = hosts.HUB, path.replace("/docker-hub", "", 1)
        elif host == hosts.MIRROR:
            folder, _, rest = path.removeprefix("/artifactory/").partition("/")
            host, path = hosts.FOLDERS.get(folder, host), rest
            host = hosts.ASSETS if host == hosts.GITHUB else host
        return self.state.sites / host / path.strip("/")

    def _file(self, path: Path, fault: str) -> None:
        if fault.startswith("instead "):
            path = path.with_name(fault.removeprefix("instead "))
        if ".." in path.parts or not path.is_file():
            self._send(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}', {})
            return
        content = path.read_bytes()
        headers = {}
        if path.parent.name == "manifests":
            headers["Content-Type"] = json.loads(content)["mediaType"]
            headers["Docker-Content-Digest"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if fault == "flip":
            content = b"x" + content[1:]
        self._send(200, content, headers, sent=len(content) // 2 if fault == "cut" else None)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], sent: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:sent])
        if sent is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Do not log."""


def serve(state: State) -> None:
    """Start a server on each port, in threads."""
    handler = type("Bound", (Handler,), {"state": state})
    tls = state.context()
    for port, has_tls in hosts.PORTS.items():
        server = Server(port, handler, tls if has_tls else None)
        threading.Thread(target=server.serve_forever, daemon=True).start()


def answer_names(state: State, channel: socket) -> None:
    """Answer queries for names over UDP, without end."""
    while True:
        with contextlib.suppress(ValueError, IndexError):
            query, client = channel.recvfrom(512)
            channel.sendto(_reply(state, query), client)


def _reply(state: State, query: bytes) -> bytes:
    """The reply to a query for one name: its address, no other record, or no such name."""
    labels, place = [], 12
    while length := query[place]:
        labels.append(query[place + 1 : place + 1 + length].decode())
        place += 1 + length
    name, kind = ".".join(labels).lower(), int.from_bytes(query[place + 1 : place + 3])
    state.note("NAME", name)
    question = query[12 : place + 5]
    known = name in hosts.ADDRESSES and not state.fault(name, "", "away")
    address = bytes(map(int, hosts.ADDRESSES[name].split("."))) if known and kind == 1 else b""
    header = query[:2] + (b"\x85\x80" if known else b"\x85\x83") + b"\0\1"
    header += (b"\0\1" if address else b"\0\0") + b"\0\0\0\0"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + address if address else b""
    return header + question + record
