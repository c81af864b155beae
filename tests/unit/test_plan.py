"""The plan: what a variant and a source mean."""

import pytest

from worker_images.build import plan
from worker_images.errors import UsageError
from worker_images.model import catalog, pins


def test_packages_stamp_is_the_description(pinned: pins.Pins, known: catalog.Catalog) -> None:
    (gvisor,) = plan.make(pinned, known, "slim", "packages").components
    assert (gvisor.release, gvisor.stamp) == ("20260622.0", "20260622.0-46-g879cb2dc2")


def test_upstream_stamp_is_the_release(pinned: pins.Pins, known: catalog.Catalog) -> None:
    (gvisor,) = plan.make(pinned, known, "slim", "upstream").components
    assert gvisor.stamp == "20260622.0"


def test_supply_defaults_to_the_pins(pinned: pins.Pins, known: catalog.Catalog) -> None:
    assert plan.make(pinned, known, "slim").source == pinned.source


def test_unknown_variant_names_the_known(pinned: pins.Pins, known: catalog.Catalog) -> None:
    with pytest.raises(UsageError, match=r"no variant 'smal'; there are: full, slim"):
        plan.make(pinned, known, "smal")


def test_a_variant_with_unwritten_components_is_not_buildable(known: catalog.Catalog) -> None:
    odd = catalog.Catalog(("gvisor",), known.variants, known.packages)
    assert odd.missing("full") == ("runc", "criu", "nvidia-container-toolkit", "cuda-runtime")
    assert odd.buildable == ("slim",)


def test_plan_is_plain_data(pinned: pins.Pins, known: catalog.Catalog) -> None:
    data = plan.make(pinned, known, "slim").as_data()
    assert data["components"][0]["source"]["module"] == "gvisor.dev/gvisor"  # type: ignore[index]
