"""Fixtures: a small checkout with a key of its own."""

from pathlib import Path

import pytest

from tests.support import handover
from worker_images import files


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with an image layer and a workload layer, and a new key."""
    monkeypatch.setattr(files, "CACHE", tmp_path / "cache")
    return handover.checkout(tmp_path)
