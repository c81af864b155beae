"""A build from packages adds only locked files and has no network."""

from worker_images.build import plan, render
from worker_images.files import ROOT
from worker_images.model.catalog import Catalog
from worker_images.model.pins import Pins


def test_every_step_of_a_packages_build_is_without_a_network(pins: Pins, catalog: Catalog) -> None:
    for name in catalog.buildable:
        steps = [
            line
            for line in render.dockerfile(
                plan.make(pins, catalog, name, "packages"), ROOT
            ).splitlines()
            if line.startswith("RUN")
        ]
        assert steps
        assert not [line for line in steps if not line.startswith("RUN --network=none ")]


def test_every_file_that_a_stage_adds_is_the_locks(pins: Pins, catalog: Catalog) -> None:
    """Nothing is fetched by an instruction."""
    for name in catalog.buildable:
        text = render.dockerfile(plan.make(pins, catalog, name, "packages"), ROOT)
        assert "http" not in text
        assert "ADD base.tar /" in text
