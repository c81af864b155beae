"""What does each component weigh, is that within its budget, and has it grown since it was last
looked at?
"""

import json
import os

import pytest

from worker_images.files import ROOT
from worker_images.harness import expect
from worker_images.harness.collection import HERE, Case
from worker_images.harness.options import not_run
from worker_images.model.oci.image import Image, Layer

pytestmark = [pytest.mark.mode("built"), pytest.mark.supply("packages")]

LEDGER = ROOT / "images" / "ledger.json"
# A Debian update may change a little; more must be looked at.
GROWTH = 1.01
# Smaller files are not named one by one.
SMALL = 64 * 1024


@pytest.fixture(scope="module")
def parts(image: Image, case: Case, pytestconfig: pytest.Config) -> dict[str, Layer]:
    """The layer of the base and of each component: the manifest is the ledger."""
    if case.architecture != HERE:
        not_run(pytestconfig, "image", f"budgets and ledger of parts are of {HERE}")
    names = ("base", *case.components)
    assert len(image.layers) == len(names), "one layer each for the base and every component"
    return dict(zip(names, image.layers, strict=True))


def _row(layer: Layer) -> dict[str, object]:
    return {
        "bytes": layer.unpacked,
        "diff_id": layer.diff_id,
        "files": {entry.path: entry.size for entry in layer.entries if entry.size >= SMALL},
    }


def test_every_part_is_within_its_budget(parts: dict[str, Layer]) -> None:
    holders = {
        name: expect.base(ROOT) if name == "base" else expect.component(ROOT, name)
        for name in parts
    }
    assert {
        name: layer.unpacked / 1e6
        for name, layer in parts.items()
        if layer.unpacked / 1e6 > float(holders[name].megabytes)
    } == {}


def test_no_part_has_grown(parts: dict[str, Layer]) -> None:
    """Against images/ledger.json.

    WRITE_LEDGER=1 takes today's sizes, and the difference is the review.
    """
    ledger = json.loads(LEDGER.read_text())
    if os.environ.get("WRITE_LEDGER"):
        ledger |= {name: _row(layer) for name, layer in parts.items()}
        LEDGER.write_text(json.dumps(ledger, indent=1, sort_keys=True) + "\n")
    rows = {name: ledger.get(name, {"bytes": 0, "files": {}}) for name in parts}
    grown = {
        name: _growth(layer, rows[name]["files"])
        for name, layer in parts.items()
        if layer.unpacked > rows[name]["bytes"] * GROWTH
    }
    assert not grown, "\n".join(f"{name}: {', '.join(files)}" for name, files in grown.items())


def _growth(layer: Layer, before: dict[str, int]) -> list[str]:
    """The files that grew or are new, in bytes unpacked."""
    sizes = {entry.path: entry.size for entry in layer.entries if entry.size >= SMALL}
    return [
        f"{path} {before.get(path, 0)} -> {size}"
        for path, size in sizes.items()
        if size > before.get(path, 0)
    ]
