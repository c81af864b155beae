"""A registry that sends whatever a test puts into it, without limits."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.loopback import Loopback, background
from worker_images.release import layout
from worker_images.release.layout import INDEX, MANIFEST, Object, descriptor
from worker_images.release.registry import as_json


@dataclass
class Hostile:
    """A registry with what a test puts into it, and the number of bytes that it sent."""

    documents: dict[str, bytes] = field(default_factory=dict)
    referrers: list[Object] = field(default_factory=list)
    endless: bool = False
    sent: int = 0
    lines: list[str] = field(default_factory=list)
    address: str = ""

    def add(self, kind: str, found: dict[str, Any]) -> Object:
        """Hold a manifest; return its descriptor."""
        return self.put(kind, as_json({"schemaVersion": 2, "mediaType": kind, **found}))

    def put(self, kind: str, data: bytes) -> Object:
        """Hold a blob; return its descriptor."""
        entry = descriptor(kind, layout.digest_of(data), len(data))
        self.documents[entry["digest"]] = data
        return entry

    def index(self, *entries: Object) -> Object:
        """Hold an index; return its descriptor."""
        return self.add(INDEX, {"manifests": [*entries]})

    def image(self, *layers: Object, **others: object) -> Object:
        """Hold the manifest of an image; return its descriptor."""
        config = self.put(layout.EMPTY_TYPE, layout.EMPTY)
        return self.add(MANIFEST, {"config": config, "layers": [*layers], **others})

    def response(self, path: str) -> tuple[str, bytes]:
        """The type and the content of a response; empty if there is none."""
        name = path.partition("?")[0].rpartition("/")[2]
        if "/referrers/" in path:
            return INDEX, as_json({"schemaVersion": 2, "mediaType": INDEX, **self._page()})
        data = self.documents.get(name, b"")
        return str(json.loads(data).get("mediaType", INDEX)) if data[:1] == b"{" else "", data

    def _page(self) -> Object:
        return {"manifests": self.referrers}


class Handler(BaseHTTPRequestHandler):
    """Sends what a Hostile holds."""

    hostile: Hostile

    def do_GET(self) -> None:
        self.hostile.lines.append(f"{self.command} {self.path}")
        kind, data = self.hostile.response(self.path)
        self.send_response(200 if data else 404)
        self.send_header("Content-Type", kind or "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        if data:
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self.send_header("Docker-Content-Digest", digest)
        if self.hostile.endless:
            self.send_header("Link", f'<{self.path}?n={len(self.hostile.lines)}>; rel="next"')
        self.end_headers()
        if self.command == "GET":
            self.hostile.sent += self._send(data)

    def _send(self, data: bytes) -> int:
        size = 1 << 16
        for start in range(0, len(data), size):
            try:
                self.wfile.write(data[start : start + size])
            except OSError:
                return start
        return len(data)

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def log_message(self, *_: object) -> None:
        """Do not log."""


@contextmanager
def serving() -> Iterator[Hostile]:
    handler = type("Bound", (Handler,), {})
    with Loopback(handler) as server:
        found = Hostile(address=f"127.0.0.1:{server.server_port}")
        handler.hostile = found  # type: ignore[attr-defined]
        with background(server):
            yield found
