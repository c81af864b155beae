"""Do the built variants share the layers of their common components?

Every pair of variants is compared by its tested archives.
"""

import itertools
import json

import pytest

from worker_images.files import ROOT
from worker_images.harness import expect
from worker_images.model import catalog
from worker_images.model.component import DebianPackage
from worker_images.model.ledger import Ledger, inputs_file
from worker_images.model.oci import archive
from worker_images.model.oci.image import Image

CATALOG = catalog.load(ROOT)
PAIRS = list(
    itertools.combinations(
        sorted(CATALOG.buildable, key=lambda name: len(CATALOG.variants[name].components)), 2
    )
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image]:
    found = {name: ROOT / "out" / name / "image.tar" for name in CATALOG.buildable}
    assert all(path.exists() for path in found.values()), (
        "not all variants are built; run: make all"
    )
    return {name: archive.load(path, tmp_path_factory.mktemp(name)) for name, path in found.items()}


def layers(images: dict[str, Image], variant: str) -> dict[str, str]:
    """Return the diffID of each layer, by component."""
    names = ("base", *CATALOG.variants[variant].components)
    return dict(zip(names, [layer.diff_id for layer in images[variant].layers], strict=True))


def test_pairs_of_variants_exist() -> None:
    assert PAIRS


@pytest.mark.parametrize(("smaller", "larger"), PAIRS)
def test_layers_of_common_components_are_identical(
    smaller: str, larger: str, images: dict[str, Image]
) -> None:
    one, other = layers(images, smaller), layers(images, larger)
    assert len(one.keys() & other.keys()) > 1
    assert {name: one[name] for name in one.keys() & other.keys()} == {
        name: other[name] for name in one.keys() & other.keys()
    }


@pytest.mark.parametrize("variant", CATALOG.buildable)
def test_every_layer_is_in_the_ledger(variant: str, images: dict[str, Image]) -> None:
    """All engines and machines build the layers in images/ledger.json, byte for byte."""
    inputs = json.loads(inputs_file(ROOT / "out" / variant / "image.tar").read_text())
    ledger = Ledger.read(ROOT)
    entries = {name: ledger.entry(name, "amd64", digest) for name, digest in inputs.items()}
    reviewed = {name: entry.diff_id for name, entry in entries.items() if entry}
    assert layers(images, variant) == reviewed, "run: make accept"


@pytest.mark.parametrize(("smaller", "larger"), PAIRS)
def test_larger_variant_adds_only_declared_files(
    smaller: str, larger: str, images: dict[str, Image]
) -> None:
    """The larger variant adds only the files of its further components and their packages."""
    further = [
        name
        for name in CATALOG.variants[larger].components
        if name not in CATALOG.variants[smaller].components
    ]
    known = images[smaller].merged
    extra = {
        path
        for path, entry in images[larger].merged.items()
        if path not in known and entry.kind != "folder"
    }
    declared = {path for name in further for path in expect.component(ROOT, name, "amd64").declared}
    from_debian = [
        name for name in further if isinstance(CATALOG.components[name].packages, DebianPackage)
    ]
    packaged = {
        entry.path
        for entry in images[larger].entries
        if entry.layer in _layer_numbers(larger, from_debian)
    }
    assert declared <= extra
    assert not extra - declared - packaged


def _layer_numbers(variant: str, names: list[str]) -> set[int]:
    """Return the layer numbers of components.

    test_world.py checks the files of Debian packages in these layers.
    """
    return {1 + CATALOG.variants[variant].components.index(name) for name in names}
