"""A loopback engine in DOCKER_HOST."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import engines


@pytest.fixture
def loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[engines.Engine]:
    """A loopback Docker with the containerd store; settings of the user are not read."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    with engines.serving(tmp_path) as found:
        found.is_a(engines.DOCKER, engines.CONTAINERD)
        monkeypatch.setenv("DOCKER_HOST", found.host)
        yield found
