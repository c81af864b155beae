"""The plan: what a variant and a source mean."""

import pytest

from worker_images.build import plan
from worker_images.errors import UsageError
from worker_images.model.catalog import Catalog
from worker_images.model.pins import Pins


def test_packages_stamp_is_the_description(pins: Pins, catalog: Catalog) -> None:
    (gvisor,) = plan.make(pins, catalog, "slim", "packages").components
    assert (gvisor.release, gvisor.stamp) == ("20260622.0", "20260622.0-46-g879cb2dc2")


def test_upstream_stamp_is_the_release(pins: Pins, catalog: Catalog) -> None:
    (gvisor,) = plan.make(pins, catalog, "slim", "upstream").components
    assert gvisor.stamp == "20260622.0"


def test_source_defaults_to_the_pins(pins: Pins, catalog: Catalog) -> None:
    assert plan.make(pins, catalog, "slim").source == pins.source


def test_unknown_variant_names_the_known(pins: Pins, catalog: Catalog) -> None:
    with pytest.raises(UsageError, match=r"no variant 'smal'; there are: full, slim"):
        plan.make(pins, catalog, "smal")


def test_a_variant_with_unwritten_components_is_not_buildable(catalog: Catalog) -> None:
    odd = Catalog(("gvisor",), catalog.variants, catalog.packages)
    assert odd.missing("full") == ("runc", "criu", "nvidia-container-toolkit", "cuda-runtime")
    assert odd.buildable == ("slim",)


def test_plan_is_plain_data(pins: Pins, catalog: Catalog) -> None:
    data = plan.make(pins, catalog, "slim").as_data()
    assert data["components"][0]["source"]["module"] == "gvisor.dev/gvisor"  # type: ignore[index]
