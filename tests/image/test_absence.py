"""What the variant does not hold must leave no trace: derived from the catalogue, so that a new
component is covered at once.
"""

import fnmatch
from collections.abc import Mapping

from worker_images.files import ROOT
from worker_images.harness import expect
from worker_images.harness.collection import Case
from worker_images.model.oci.image import Image


def test_no_trace_of_other_components_in_any_layer(image: Image, case: Case) -> None:
    traces = {
        (name, trace): [
            entry.path for entry in image.entries if fnmatch.fnmatchcase(entry.path, trace)
        ]
        for name in case.catalog.components
        for trace in expect.component(ROOT, name).traces
    }
    held = {
        name
        for name, _ in traces
        if any(paths for (owner, _), paths in traces.items() if owner == name)
    }
    assert held == set(case.components), {key: paths for key, paths in traces.items() if paths}


def test_programs_of_components_are_where_they_belong(
    programs: Mapping[str, str], case: Case
) -> None:
    """Go's build information names the culprit under any file name: an absent component's, or a
    second one of a held component.
    """
    found = {
        path: name
        for path, main in programs.items()
        for name, module in case.modules.items()
        if _is_of(main, module)
    }
    declared = {path for name in case.components for path in expect.component(ROOT, name).files}
    assert set(case.components) & set(case.modules) <= set(found.values())
    assert not {
        path: name
        for path, name in found.items()
        if name not in case.components or path not in declared
    }


def _is_of(package: str, module: str) -> bool:
    return package == module or package.startswith(f"{module}/")
