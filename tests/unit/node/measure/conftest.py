"""A model on a machine without a GPU, for the tests of restores."""

import sys
from pathlib import Path

import pytest

from tests.support import fake_runsc
from worker_images.node.measure import page_cache
from worker_images.node.measure.model_runs import Setup
from worker_images.node.node import Node


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    """A model on a machine without a GPU, with a stand-in for runsc."""
    monkeypatch.setattr(page_cache, "empty", lambda _: "a test")
    for name in ("fake", "work"):
        (tmp_path / name).mkdir()
    return Setup(
        place=fake_runsc.make(tmp_path / "fake"),
        node=Node("", (), (), (), ""),
        python=sys.executable,
        probes=tmp_path / "fake",
        folder=tmp_path / "work",
        size="1b",
        program="",
        mounted=None,
        on_node=(),
        rounds=2,
        at_once=2,
        starts=1,
    )
