"""Fixtures: a kubectl whose answers a test writes."""

from pathlib import Path

import pytest

from tests.support import answers as support


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """A folder with a kubectl, and its answers."""
    return support.make(tmp_path)
