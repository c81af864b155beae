"""The inputs of a build: another row of the drivers is another input."""

import json
from pathlib import Path

from worker_images.build import pipeline, plan, render, work
from worker_images.engine.builder import Engine
from worker_images.fetch.store import Inputs, Store
from worker_images.model import project
from worker_images.model.drivers.table import DRIVERS
from worker_images.model.lock import Lock


def test_another_row_is_another_input(checkout: Path, no_engine: Engine) -> None:
    """The label is in the Dockerfile; what the release only knows is in the file alone."""
    pinned, known = project.load(checkout, checkout / "versions.yaml")
    planned = plan.make(pinned, known, "slim", "upstream")
    request = work.Request("slim", checkout / "versions.yaml")

    def key() -> dict[str, str]:
        inputs = Inputs(Lock.read(checkout / "versions.lock"), Store())
        made = work.Work(
            request,
            planned,
            render.dockerfile(planned, checkout),
            checkout,
            checkout,
            no_engine,
            inputs,
            print,
            "",
        )
        return pipeline._key(made)  # noqa: SLF001

    before = key()
    path = checkout / DRIVERS
    data = json.loads(path.read_text())
    data["releases"]["20260622.0"]["known"].pop()
    path.write_text(json.dumps(data))
    assert {name for name, text in key().items() if before[name] != text} == {
        "components/gvisor/drivers.json"
    }
