"""Redirects are followed to allowed hosts alone."""

from pathlib import Path

import pytest

from tests.support.downloads import fetched
from tests.support.faulty import CONTENT, Server
from worker_images.errors import FetchError
from worker_images.fetch import session


def test_redirect_is_followed_on_the_same_host(server: Server, tmp_path: Path) -> None:
    server.faults = ["to /elsewhere.deb"]
    assert fetched(server, tmp_path).read_bytes() == CONTENT
    assert server.requests == ["/tini.deb", "/elsewhere.deb"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "http://localhost:1/x",
            (
                "redirected to http://localhost, which is not allowed; to allow it, add the host to"
                " WORKER_IMAGES_REDIRECT_HOSTS"
            ),
        ),
        ("http://[", "ValueError: the address, a proxy variable or the response is malformed"),
        ("file:///etc/passwd", "redirected to file://"),
        ("ftp://127.0.0.1/x", "redirected to ftp://127.0.0.1, which is not allowed"),
    ],
)
def test_redirect_is_refused_to_another_host_or_scheme(
    target: str, message: str, server: Server, tmp_path: Path
) -> None:
    server.faults = [f"to {target}"]
    with pytest.raises(FetchError, match=message):
        fetched(server, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(server.requests) == 1


def test_redirect_is_followed_to_an_allowed_host(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above."""
    monkeypatch.setenv(session.REDIRECT_HOSTS, "localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    server.faults = [f"to {server.address.replace('127.0.0.1', 'localhost')}/x"]
    assert fetched(server, tmp_path).read_bytes() == CONTENT


def test_redirect_loop_ends(server: Server, tmp_path: Path) -> None:
    server.faults = ["to /tini.deb"] * 99
    with pytest.raises(FetchError, match="Exceeded 5 redirects"):
        fetched(server, tmp_path)
    assert len(server.requests) <= session.MAX_REDIRECTS + 2
