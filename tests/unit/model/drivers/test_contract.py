"""The driver contract in the Dockerfile and in the build context."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.drivers import TABLE
from worker_images.build import context, plan, render
from worker_images.build.inputs import Text
from worker_images.fetch.store import Store
from worker_images.files import ROOT
from worker_images.model.lock import Lock
from worker_images.model.pins import Source
from worker_images.model.project import Project


@pytest.mark.parametrize("source", ["packages", "upstream"])
def test_label_and_file_hold_the_entry_of_the_release(
    source: Source, locked: Lock, project: Project
) -> None:
    (row,) = [each for each in TABLE if each.name == project.release]
    for name in project.catalog.buildable:
        planned = plan.make(project, locked, name, source)
        text = render.dockerfile(planned, ROOT)
        (label,) = re.findall(r'^LABEL worker\.drivers="(.*)"$', text, re.MULTILINE)
        (file,) = [each for each in planned.inputs if each.place.endswith("/drivers.json")]
        assert tuple(label.split()) == row.supported
        assert json.loads(file.content) == {  # type: ignore[union-attr]
            "release": row.name,
            "supported": list(row.supported),
            "known": list(row.known),
        }


def test_context_holds_the_contract(locked: Lock, project: Project, tmp_path: Path) -> None:
    planned = plan.make(project, locked, "slim", "upstream")
    texts = tuple(each for each in planned.inputs if isinstance(each, Text))
    planned = replace(planned, inputs=texts)
    context.lay_out(tmp_path, "FROM scratch\n", planned, Store(), print)
    (file,) = [each for each in texts if each.place.endswith("/drivers.json")]
    assert (tmp_path / file.place).read_text() == file.content
