"""A build from packages adds only files of its context and has no network."""

from worker_images.build import plan, render
from worker_images.files import ROOT
from worker_images.model.lock import Lock
from worker_images.model.project import Project


def test_packages_build_steps_have_no_network(locked: Lock, project: Project) -> None:
    for name in project.catalog.buildable:
        steps = [
            line
            for line in render.dockerfile(
                plan.make(project, locked, name, "packages"), ROOT
            ).splitlines()
            if line.startswith("RUN")
        ]
        assert steps
        assert not [line for line in steps if not line.startswith("RUN --network=none ")]


def test_packages_build_downloads_nothing(locked: Lock, project: Project) -> None:
    for name in project.catalog.buildable:
        text = render.dockerfile(plan.make(project, locked, name, "packages"), ROOT)
        assert "http" not in text
        assert "ADD base.tar /" in text
