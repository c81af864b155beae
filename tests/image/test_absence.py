"""Are the components that the variant does not contain absent from every layer?

The components come from the catalog, so a new one is covered at once. In derived images the rule
"program" of test_derived.py looks for them.
"""

import fnmatch
from collections.abc import Mapping

import pytest

from worker_images.harness import expect
from worker_images.harness.collection import Case
from worker_images.model.oci.image import Image


@pytest.mark.mode("built")
def test_absent_component_leaves_no_trace_in_any_layer(image: Image, case: Case) -> None:
    """No path matches the trace patterns of a component that the variant does not contain."""
    traces = {
        (name, trace): [
            entry.path for entry in image.entries if fnmatch.fnmatchcase(entry.path, trace)
        ]
        for name in case.catalog.components
        for trace in expect.component(case.root, name, case.architecture).traces
    }
    present = {
        name
        for name, _ in traces
        if any(paths for (owner, _), paths in traces.items() if owner == name)
    }
    assert present == set(case.components), {key: paths for key, paths in traces.items() if paths}


@pytest.mark.mode("built")
def test_component_program_is_only_at_its_declared_path(
    programs: Mapping[str, str], case: Case
) -> None:
    """Go's build information identifies a program under any file name."""
    found = {
        path: name
        for path, main in programs.items()
        for name, module in case.modules.items()
        if _is_of(main, module)
    }
    declared = {
        path
        for name in case.components
        for path in expect.component(case.root, name, case.architecture).files
    }
    assert set(case.components) & set(case.modules) <= set(found.values())
    assert not {
        path: name
        for path, name in found.items()
        if name not in case.components or path not in declared
    }


def _is_of(package: str, module: str) -> bool:
    return package == module or package.startswith(f"{module}/")
