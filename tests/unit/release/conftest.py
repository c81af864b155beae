"""Fixtures: a small checkout with a key of its own, small images, and a plan."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.support import handover
from tests.support.archives import write
from tests.support.members import Member, layer
from worker_images import files
from worker_images.build import plan
from worker_images.build.plan import Plan
from worker_images.model.lock import Lock
from worker_images.model.oci import archive
from worker_images.model.oci.image import Image
from worker_images.model.project import Project

Loaded = Callable[..., Image]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with an image layer and a workload layer, and a new key."""
    monkeypatch.setattr(files, "CACHE", tmp_path / "cache")
    return handover.checkout(tmp_path)


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """Make an image of layers."""

    def image(*layers: Iterable[Member]) -> Image:
        path = write(tmp_path / "image.tar", [layer(members) for members in layers])
        (tmp_path / "layers").mkdir()
        return archive.load(path, tmp_path / "layers")

    return image


@pytest.fixture
def full(project: Project, locked: Lock) -> Plan:
    """The plan of full, from packages."""
    return plan.make(project, locked, "full")
