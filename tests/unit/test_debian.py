"""Debian packages over a real loopback server that misbehaves on purpose: no wrong byte is ever used."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from imagebuild import debian
from imagebuild.errors import EngineError, FetchError

CONTENT = bytes(range(256)) * 64


@dataclass
class Mirror:
    """A mirror: what it does at each request, then well behaved; how often it was asked."""

    address: str
    faults: list[str] = field(default_factory=list)
    asked: int = 0

    def package(self, **changes: object) -> debian.Package:
        """A package of this mirror, with the digest that is right for it."""
        values = {"name": "tini", "version": "1", "url": f"{self.address}/tini.deb", "size": len(CONTENT)}
        return debian.Package(**{**values, "sha256": hashlib.sha256(CONTENT).hexdigest(), **changes})  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    """Answers as the mirror's list of faults says."""

    mirror: Mirror

    def do_GET(self) -> None:
        self.mirror.asked += 1
        fault = self.mirror.faults.pop(0) if self.mirror.faults else ""
        if fault.isdigit():
            self.send_error(int(fault))
            return
        body = {"flip": b"x" + CONTENT[1:], "html": b"<html>log in</html>", "endless": CONTENT * 2, "short": CONTENT[:-1]}.get(
            fault, CONTENT
        )
        self.send_response(200)
        if fault != "short":
            self.send_header("Content-Length", str(len(CONTENT) if fault == "cut" else len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setattr(debian, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = type("Bound", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.mirror = Mirror(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield handler.mirror  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("fault", ["cut", "short", "flip", "html", "endless", "500", "503", "429"])
def test_one_fault_heals(fault: str, mirror: Mirror, tmp_path: Path) -> None:
    mirror.faults = [fault]
    (path,) = debian.fetch([mirror.package()], tmp_path)
    assert path.read_bytes() == CONTENT
    assert mirror.asked == 2


@pytest.mark.parametrize("fault", ["cut", "short", "flip", "html", "endless", "500"])
def test_a_lasting_fault_leaves_nothing(fault: str, mirror: Mirror, tmp_path: Path) -> None:
    mirror.faults = [fault] * debian.ATTEMPTS
    with pytest.raises(FetchError, match=r"fetching tini 1: http://127\.0\.0\.1:[0-9]+/tini\.deb: .*run again"):
        debian.fetch([mirror.package()], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", ["404", "410", "403"])
def test_gone_is_not_asked_twice(status: str, mirror: Mirror, tmp_path: Path) -> None:
    mirror.faults = [status] * debian.ATTEMPTS
    with pytest.raises(FetchError, match=f"HTTP {status}; the mirror no longer has it; run again with --refresh"):
        debian.fetch([mirror.package()], tmp_path)
    assert mirror.asked == 1


def test_an_altered_cache_entry_is_fetched_again(mirror: Mirror, tmp_path: Path) -> None:
    (path,) = debian.fetch([mirror.package()], tmp_path)
    path.write_bytes(b"x" + CONTENT[1:])
    debian.fetch([mirror.package()], tmp_path)
    assert path.read_bytes() == CONTENT


def test_a_good_cache_entry_is_not_fetched(mirror: Mirror, tmp_path: Path) -> None:
    debian.fetch([mirror.package()], tmp_path)
    debian.fetch([mirror.package()], tmp_path)
    assert mirror.asked == 1


def test_no_connection_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "PAUSE_SECONDS", 0.0)
    package = Mirror("http://127.0.0.1:9").package()
    with pytest.raises(FetchError, match="check the network and run again"):
        debian.fetch([package], tmp_path)


def test_resolution_survives_json(mirror: Mirror) -> None:
    found = debian.Resolution("2026-11-23T00:00:00Z", {"base": (mirror.package(),)})
    assert debian.Resolution.from_json(found.as_json()) == found


def test_apts_answer_is_read_whole() -> None:
    line = f"'http://m/p/libssl3t64_3.5.7-1%7edeb13u3_amd64.deb' libssl3t64_3.5.7-1~deb13u3_amd64.deb 17 SHA256:{'a' * 64}"
    match = debian.ADDRESS.search(line)
    assert match
    assert debian.package_of(match) == debian.Package(
        "libssl3t64", "3.5.7-1~deb13u3", "http://m/p/libssl3t64_3.5.7-1%7edeb13u3_amd64.deb", 17, "a" * 64
    )


def test_a_broken_deb_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(b"not a deb")
    with pytest.raises(EngineError, match=r"reading .*x\.deb: .*delete it"), debian.members(path, "--fsys-tarfile") as tar:
        list(tar)
