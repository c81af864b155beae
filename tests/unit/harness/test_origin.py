"""Which layers of a derived image are a worker image's."""

import json
from pathlib import Path

import pytest

from tests.support.archives import digest, write
from tests.support.members import file, layer
from worker_images.harness import derived
from worker_images.model.ledger import Entry, Ledger
from worker_images.model.oci import archive
from worker_images.model.oci.image import Image

BASE, GVISOR, OWN = (layer([file(name, name)]) for name in ("base", "gvisor", "own"))
REVIEWED = [digest(BASE), digest(GVISOR)]


def image(folder: Path, *layers: bytes) -> Image:
    return archive.load(write(folder / "image.tar", list(layers)), folder)


def test_origin_names_the_first_layer_that_differs(tmp_path: Path) -> None:
    found = image(tmp_path, BASE, OWN)
    first, second = (each.diff_id for each in found.layers)
    known = [[first], [first, "sha256:other"]]
    assert derived.other_origin(found, known, "slim") == ""
    assert [each.diff_id for each in derived.worker_part(found, known).layers] == [first]
    begin = "not derived from a worker:slim image of this checkout: "
    fix = "; build it FROM worker:slim and keep these layers, or name its --variant"
    fault = f"{begin}layer 2 is {second}, want sha256:other{fix}"
    assert derived.other_origin(found, [["sha256:x"], [first, "sha256:other"]], "slim") == fault
    short = derived.other_origin(found, [[first, second, "sha256:x"]], "slim")
    assert short == f"{begin}layer 3 is missing, want sha256:x{fix}"
    assert derived.worker_part(found, [["sha256:x"]]).layers == ()
    none = "none is in images/ledger.json or out/slim; run: make slim"
    assert derived.other_origin(found, [], "slim") == begin + none


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose ledger has the layers of slim."""
    ledger = Ledger({})
    for name, diff_id in zip(("base", "gvisor"), REVIEWED, strict=True):
        ledger = ledger.with_entry(name, "amd64", "inputs", Entry(1, diff_id))
    (tmp_path / "images").mkdir()
    ledger.write(tmp_path)
    return tmp_path


def known(checkout: Path, *components: str) -> list[list[str]]:
    return derived.known_images(checkout, "slim", components, "amd64")


def test_image_of_the_ledger_is_known_if_all_its_layers_are(checkout: Path) -> None:
    assert known(checkout, "gvisor") == [REVIEWED]
    assert known(checkout, "gvisor", "runc") == []


@pytest.mark.parametrize("is_recorded", [True, False])
def test_built_image_is_known_if_its_record_names_it(
    is_recorded: bool,
    checkout: Path,
) -> None:
    folder = checkout / "out/slim"
    folder.mkdir(parents=True)
    built = image(folder, BASE, OWN)
    image_id = built.image_id if is_recorded else f"sha256:{'0' * 64}"
    (folder / "build.json").write_text(json.dumps({"image_id": image_id}))
    expected = [REVIEWED, [digest(BASE), digest(OWN)]] if is_recorded else [REVIEWED]
    assert known(checkout, "gvisor") == expected


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_record_that_cannot_be_read_names_no_image(text: str, checkout: Path) -> None:
    (checkout / "out/slim").mkdir(parents=True)
    (checkout / "out/slim/build.json").write_text(text)
    assert known(checkout, "gvisor") == [REVIEWED]
