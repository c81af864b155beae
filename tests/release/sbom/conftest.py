"""Fixtures: each tested archive with its SBOM, and as other programs read it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.release.sbom import independent
from tests.release.sbom.independent import Findings
from tests.support.sites import images
from worker_images.build import plan, requirements
from worker_images.files import ROOT
from worker_images.model import project
from worker_images.model.oci import archive
from worker_images.model.oci.image import Image
from worker_images.release import sbom

PROJECT = project.load(ROOT)
LOCKED = requirements.load(PROJECT)
VARIANTS = PROJECT.catalog.buildable


@dataclass(frozen=True)
class Case:
    """A tested archive: as our reader and as other programs read it, and its SBOM."""

    image: Image
    plan: plan.Plan
    text: str
    found: Findings

    @property
    def sbom(self) -> dict[str, Any]:
        """The SBOM as data."""
        return dict(json.loads(self.text))


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Case]:
    """The case of each variant."""
    go = independent.go_command(LOCKED.toolchain, tmp_path_factory.mktemp("go"))
    with images():
        return {name: case_of(name, go, tmp_path_factory.mktemp(name)) for name in VARIANTS}


def case_of(name: str, go: Path, folder: Path) -> Case:
    path = ROOT / "out" / name / "image.tar"
    assert path.exists(), f"{name} is not built; run: make {name}"
    scratch = folder / "layers"
    scratch.mkdir()
    image, planned = archive.load(path, scratch), plan.make(PROJECT, LOCKED, name)
    found = independent.read(independent.unpack(path, folder / "image"), go)
    return Case(image, planned, sbom.document(image, planned, PROJECT, LOCKED), found)
