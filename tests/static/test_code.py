"""Is the code in small pieces, and do test suites stay apart?"""

import ast
from pathlib import Path

import pytest

from tests.support.syntax import imported, nodes
from worker_images.files import ROOT

CODE = ("worker_images", "tests", "bench", "examples")
MAX_LINES = 250
MAX_FUNCTION_LINES = 40


def long_functions(path: Path) -> list[str]:
    """Return the names of functions that have too many lines."""
    functions = (node for node in nodes(path) if isinstance(node, ast.FunctionDef))
    return [
        node.name
        for node in functions
        if (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]


def test_functions_and_modules_are_small() -> None:
    for path in (path for folder in CODE for path in (ROOT / folder).rglob("*.py")):
        assert len(path.read_text().splitlines()) <= MAX_LINES, path
        assert long_functions(path) == [], path


@pytest.mark.parametrize(("lines", "found"), [(40, []), (41, ["build"])])
def test_function_is_long_above_forty_lines(lines: int, found: list[str], tmp_path: Path) -> None:
    """The control of the test above."""
    (tmp_path / "module.py").write_text("def build():\n" + "    pass\n" * (lines - 1))
    assert long_functions(tmp_path / "module.py") == found


def test_tests_import_only_support_and_their_own_suite() -> None:
    """Suites share code through tests/support; no test module imports another one."""
    modules = [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py")]
    assert len(modules) > 100
    for path in modules:
        for name in imported(ROOT / path):
            package, _, rest = name.partition(".")
            if package == "tests":
                assert rest.split(".")[0] in {"support", path.parts[1]}, path
                parts = rest.split(".")
                assert parts[0] == "support" or not any(each.startswith("test_") for each in parts)
