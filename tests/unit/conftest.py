"""The project's own files, and copies of them to spoil."""

import shutil
from pathlib import Path

import pytest

from imagebuild import catalog, pins
from imagetest.plugin import ROOT


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def pinned() -> pins.Pins:
    """The committed pins."""
    return pins.load(ROOT / "versions.yaml")[0]


@pytest.fixture(scope="session")
def known() -> catalog.Catalog:
    """The committed catalogue."""
    return catalog.load(ROOT)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout of one's own: what build.py reads, without .venv and out."""
    target = tmp_path / "checkout"
    for name in ("imagebuild", "images"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("versions.yaml", "build.py", "requirements.txt"):
        shutil.copy(ROOT / name, target / name)
    return target
