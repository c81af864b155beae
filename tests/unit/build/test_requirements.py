"""A build from packages adds only files of its context and has no network."""

import pytest

from worker_images.build import plan, render
from worker_images.build.requirements import ARCHITECTURES
from worker_images.files import ROOT
from worker_images.model.component import Architecture
from worker_images.model.lock import Lock
from worker_images.model.project import Project


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packages_build_steps_have_no_network(
    architecture: Architecture, locked: Lock, project: Project
) -> None:
    for name in project.catalog.buildable:
        planned = plan.make(project, locked, name, "packages", architecture)
        lines = render.dockerfile(planned, ROOT).splitlines()
        steps = [line for line in lines if line.startswith("RUN")]
        assert steps
        assert not [line for line in steps if not line.startswith("RUN --network=none ")]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packages_build_downloads_nothing(
    architecture: Architecture, locked: Lock, project: Project
) -> None:
    for name in project.catalog.buildable:
        planned = plan.make(project, locked, name, "packages", architecture)
        text = render.dockerfile(planned, ROOT)
        assert "http" not in text
        assert "ADD base.tar /" in text
