"""What the variant does not hold must leave no trace: derived from the catalogue, so that a new component is covered at once."""

import fnmatch

import pytest

from imagetest import expect
from imagetest.image import Image
from imagetest.plugin import ROOT, case_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    case = case_of(metafunc.config)
    metafunc.parametrize("absent", [name for name in case.catalog.components if name not in case.components])


def test_no_trace_in_any_layer(absent: str, image: Image) -> None:
    traces = expect.component(ROOT, absent).traces
    found = [entry.path for entry in image.entries if any(fnmatch.fnmatchcase(entry.path, trace) for trace in traces)]
    assert not found
