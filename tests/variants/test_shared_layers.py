"""Do the built images share what they say they share? It asks the archives that were judged, of
every pair of variants.
"""

import itertools
import json

import pytest

from worker_images.files import ROOT
from worker_images.harness import expect
from worker_images.model import catalog
from worker_images.model.component import DebianPackage
from worker_images.model.ledger import INPUTS, Ledger
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
    """The diffID of the base's layer and of each component's."""
    names = ("base", *CATALOG.variants[variant].components)
    return dict(zip(names, [layer.diff_id for layer in images[variant].layers], strict=True))


def test_there_are_pairs() -> None:
    assert PAIRS


@pytest.mark.parametrize(("smaller", "larger"), PAIRS)
def test_shared_parts_are_the_same_bytes(
    smaller: str, larger: str, images: dict[str, Image]
) -> None:
    one, other = layers(images, smaller), layers(images, larger)
    assert len(one.keys() & other.keys()) > 1
    assert {name: one[name] for name in one.keys() & other.keys()} == {
        name: other[name] for name in one.keys() & other.keys()
    }


@pytest.mark.parametrize("variant", CATALOG.buildable)
def test_every_layer_is_reviewed(variant: str, images: dict[str, Image]) -> None:
    """Every engine and machine makes the layers of images/ledger.json, to the byte."""
    inputs = json.loads((ROOT / "out" / variant / INPUTS).read_text())
    ledger = Ledger.read(ROOT)
    entries = {name: ledger.entry(name, "amd64", digest) for name, digest in inputs.items()}
    reviewed = {name: entry.diff_id for name, entry in entries.items() if entry}
    assert layers(images, variant) == reviewed, "run: make accept"


@pytest.mark.parametrize(("smaller", "larger"), PAIRS)
def test_the_difference_is_the_declared_one(
    smaller: str, larger: str, images: dict[str, Image]
) -> None:
    """What the larger holds beyond the smaller is its further components' files, and their Debian
    packages'.
    """
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
    declared = {path for name in further for path in expect.component(ROOT, name).declared}
    from_debian = [
        name for name in further if isinstance(CATALOG.components[name].packages, DebianPackage)
    ]
    packaged = {
        entry.path
        for entry in images[larger].entries
        if entry.layer in _places(larger, from_debian)
    }
    assert declared <= extra
    assert not extra - declared - packaged


def _places(variant: str, names: list[str]) -> set[int]:
    """The numbers of components' layers.

    What a Debian package may bring there is the closed world's matter.
    """
    return {1 + CATALOG.variants[variant].components.index(name) for name in names}
