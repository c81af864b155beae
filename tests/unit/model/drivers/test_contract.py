"""The driver contract is in the Dockerfile and the build context."""

import json
import re
from pathlib import Path

from tests.support.drivers import TABLE
from worker_images.build import context, plan, render
from worker_images.fetch.store import Inputs, Store
from worker_images.files import ROOT
from worker_images.model.catalog import Catalog
from worker_images.model.drivers import contract
from worker_images.model.lock import Lock
from worker_images.model.pins import Pins


def test_label_and_file_are_the_row(pins: Pins, catalog: Catalog) -> None:
    (row,) = [each for each in TABLE if each.name == pins.components["gvisor"].version]
    for name in catalog.buildable:
        for source in ("packages", "upstream"):
            planned = plan.make(pins, catalog, name, source)
            (label,) = re.findall(
                r'^LABEL worker\.drivers="(.*)"$', render.dockerfile(planned, ROOT), re.MULTILINE
            )
            (text,) = contract.texts(ROOT, planned.components).values()
            assert tuple(label.split()) == row.supported
            assert json.loads(text) == {
                "release": row.name,
                "supported": list(row.supported),
                "known": list(row.known),
            }


def test_the_context_holds_the_file(pins: Pins, catalog: Catalog, tmp_path: Path) -> None:
    planned = plan.make(pins, catalog, "slim", "upstream")
    context.lay_out(
        tmp_path,
        "FROM scratch\n",
        planned,
        Inputs(Lock.read(ROOT / "versions.lock"), Store()),
        ROOT,
        print,
    )
    assert (tmp_path / "components/gvisor/drivers.json").read_text() == contract.texts(
        ROOT, planned.components
    )["components/gvisor/drivers.json"]
