"""Plans of variants and sources."""

import json
from dataclasses import replace

import pytest

from worker_images.build import plan
from worker_images.errors import UsageError
from worker_images.model.catalog import Catalog
from worker_images.model.lock import Lock
from worker_images.model.project import Project


def test_reported_version_is_the_git_description_for_packages(
    locked: Lock, project: Project
) -> None:
    (gvisor,) = plan.make(project, locked, "slim", "packages").components
    assert (gvisor.version, gvisor.reported_version) == ("20260622.0", "20260622.0-46-g879cb2dc2")


def test_reported_version_is_the_release_for_upstream(locked: Lock, project: Project) -> None:
    (gvisor,) = plan.make(project, locked, "slim", "upstream").components
    assert gvisor.reported_version == "20260622.0"


def test_source_defaults_to_the_pins(locked: Lock, project: Project) -> None:
    assert plan.make(project, locked, "slim").source == project.pins.source


def test_image_is_created_at_the_last_time_of_the_lock(locked: Lock, project: Project) -> None:
    """An image of the source upstream, which has no lock, has the time of its files."""
    later = replace(locked, debian=replace(locked.debian, resolved=("x", "2027-03-01T00:00:00Z")))
    assert plan.make(project, later, "slim", "packages").created == 1803859200
    assert plan.make(project, later, "slim", "upstream").created == project.file_time


def test_unknown_variant_error_names_the_known_ones(locked: Lock, project: Project) -> None:
    with pytest.raises(UsageError, match=r"no such variant; known variants: full, slim"):
        plan.make(project, locked, "smal")


def test_variant_is_not_buildable_without_folders_of_its_components(catalog: Catalog) -> None:
    incomplete = Catalog(
        {"gvisor": catalog.components["gvisor"]},
        catalog.variants,
        catalog.packages,
        catalog.rules,
        catalog.own,
    )
    assert incomplete.missing("full") == (
        "runc",
        "criu",
        "nvidia-container-toolkit",
        "cuda-runtime",
        "gpu-checkpoint",
    )
    assert incomplete.buildable == ("slim",)


def test_plan_data_is_json(locked: Lock, project: Project) -> None:
    data = plan.make(project, locked, "slim").as_data()
    assert data["components"][0]["origin"]["module"] == "gvisor.dev/gvisor"  # type: ignore[index]
    assert {"name", "digest", "place"} == set(data["inputs"][0])  # type: ignore[index]
    assert json.loads(json.dumps(data))["lacks"]
