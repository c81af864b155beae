"""Does docs/projects.md list every name that a project relies on?"""

import re
from typing import get_args

import pytest

from worker_images import errors
from worker_images.files import ROOT
from worker_images.harness.expect import ComponentExpectation, VariantExpectation
from worker_images.model.catalog import Variant
from worker_images.model.component import Definition, Origin
from worker_images.model.pins import ComponentPin, Fork, PackagesPin, Pins, UpstreamPin

PAGE = (ROOT / "docs" / "projects.md").read_text()
STABLE = PAGE.split("## What is stable\n")[1]
CODES = {
    each.exit_code
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.ImageBuildError)
} - {errors.ImageBuildError.exit_code}
NAMES = {
    "keys of `versions.yaml`": {
        key
        for model in (Pins, ComponentPin, PackagesPin, UpstreamPin, Fork)
        for key in model.model_fields
    },
    "keys below its `packages` and `upstream`": {
        key for model in get_args(Origin) for key in model.model_fields
    },
    "keys of `component.yaml`": {*Definition.model_fields},
    "keys of `variant.yaml`": {*Variant.model_fields},
    "keys of a component's `expect.yaml`": {*ComponentExpectation.model_fields},
    "keys of a variant's `expect.yaml`": {*VariantExpectation.model_fields},
}


def names_of(what: str) -> set[str]:
    """Return the names in a row of the table."""
    (row,) = re.findall(rf"^\| {re.escape(what)} \| (.*) \|$", STABLE, re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", row))


@pytest.mark.parametrize("what", NAMES)
def test_page_lists_every_key(what: str) -> None:
    assert names_of(what) == NAMES[what]


def test_page_lists_every_exit_code() -> None:
    (row,) = re.findall(r"^\| exit codes \| ([0-9 ]+),", STABLE, re.MULTILINE)
    assert {int(code) for code in row.split()} == {0, *CODES}
