"""Does each layer have its reviewed size and diffID?"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from worker_images.harness.collection import Case
from worker_images.harness.options import not_run
from worker_images.model.ledger import Entry, Ledger, inputs_file
from worker_images.model.oci.image import Image

pytestmark = [pytest.mark.mode("built"), pytest.mark.source("packages")]


@pytest.fixture(scope="module")
def layers(image: Image, case: Case) -> dict[str, Entry]:
    """Size and diffID of each layer, by component."""
    names = ("base", *case.components)
    assert len(image.layers) == len(names), (
        "expected one layer for the base and one for each component"
    )
    return {
        name: Entry(layer.unpacked, layer.diff_id)
        for name, layer in zip(names, image.layers, strict=True)
    }


def test_layer_matches_the_ledger_where_its_inputs_were_reviewed(
    layers: dict[str, Entry], case: Case, pytestconfig: pytest.Config
) -> None:
    """A layer with reviewed inputs has the size and the diffID in images/ledger.json.

    Without a record of its inputs, an image must have the bytes that were reviewed last.
    """
    file = inputs_file(Path(case.archive))
    inputs: dict[str, str] = json.loads(file.read_text()) if file.is_file() else {}
    ledger = Ledger.read(case.root)
    reviewed = {
        name: entry
        for name in layers
        if (entry := _reviewed(ledger, name, case.architecture, inputs))
    }
    found = {name: layers.get(name) for name in reviewed}
    assert found == reviewed, "not the reviewed bytes: a change, or not reproducible"
    if missing := sorted(layers.keys() - reviewed.keys()):
        reason = f"not reviewed, no entry in images/ledger.json: {', '.join(missing)}"
        not_run(pytestconfig, "ledger", reason)


def _reviewed(
    ledger: Ledger, name: str, architecture: str, inputs: Mapping[str, str]
) -> Entry | None:
    if inputs:
        return ledger.entry(name, architecture, inputs.get(name, ""))
    return ledger.latest(name, architecture)
