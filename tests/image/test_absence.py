"""What the variant does not hold must leave no trace: derived from the catalogue, so that a new component is covered at once."""

import fnmatch

from imagetest import expect
from imagetest.image import Image
from imagetest.plugin import ROOT, Case


def test_no_trace_of_other_components_in_any_layer(image: Image, case: Case) -> None:
    traces = {
        (name, trace): [entry.path for entry in image.entries if fnmatch.fnmatchcase(entry.path, trace)]
        for name in case.catalog.components
        for trace in expect.component(ROOT, name).traces
    }
    held = {name for name, _ in traces if any(paths for (owner, _), paths in traces.items() if owner == name)}
    assert held == set(case.components), {key: paths for key, paths in traces.items() if paths}
