"""Fixtures: a faulty server, and no pauses between attempts."""

from collections.abc import Iterator

import pytest

from tests.support import faulty
from tests.support.faulty import Server
from worker_images.fetch import http


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with faulty.running() as found:
        yield found


@pytest.fixture
def recorded_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    return pauses
