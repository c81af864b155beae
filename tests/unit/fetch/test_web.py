"""Questions over HTTP to a real loopback server."""

from collections.abc import Iterator

import pytest

from tests.support import registries
from tests.support.registries import Registry
from worker_images.errors import NoResponseError
from worker_images.fetch import session, web


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with registries.serving() as found:
        yield found


def test_password_is_sent_and_not_shown(registry: Registry) -> None:
    address = registry.address.replace("http://", "http://me:s%40cret@")
    registry.rows["/there"] = b"yes"
    assert web.get(f"{address}/there", 5.0) == b"yes"
    assert registry.sent[0]["Authorization"] == "Basic bWU6c0BjcmV0"
    for place in (
        f"{address}/none",
        "http://me:s%40cret@127.0.0.1:9/",
        "http://me:s%40cret@127.0.0.1:x/",
    ):
        with pytest.raises(NoResponseError) as caught:
            web.get(place, 5.0)
        assert "cret" not in str(caught.value)


def test_redirect_is_followed_to_the_same_host_alone(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = registry.address.replace("127.0.0.1", "localhost")
    registry.rows |= {"/here": 302, "/away": 302, "/there": b"yes"}
    registry.headers["/here"] = {"Location": "/there"}
    registry.headers["/away"] = {"Location": f"{other}/there"}
    assert web.get(f"{registry.address}/here", 5.0) == b"yes"
    with pytest.raises(
        NoResponseError, match="redirected to http://localhost, which is not allowed"
    ):
        web.get(f"{registry.address}/away", 5.0)
    monkeypatch.setenv(session.REDIRECT_HOSTS, "localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    assert web.get(f"{registry.address}/away", 5.0) == b"yes"


def test_answer_over_the_limit_is_refused(registry: Registry) -> None:
    registry.rows["/much"] = b"x" * 101
    assert web.get(f"{registry.address}/much", 5.0, 101)
    with pytest.raises(NoResponseError, match="/much: unexpected response, more than 0 MiB"):
        web.get(f"{registry.address}/much", 5.0, 100)
