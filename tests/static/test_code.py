"""Is the code in small pieces, and do test suites stay apart?"""

import ast
from pathlib import Path

from tests.support.syntax import imported, nodes
from worker_images.files import ROOT

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
    for path in (ROOT / "worker_images").rglob("*.py"):
        assert len(path.read_text().splitlines()) <= MAX_LINES, path
        assert long_functions(path) == [], path


def test_tests_import_only_support_and_their_own_suite() -> None:
    """Suites share code through tests/support; no test module imports another one."""
    modules = [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py")]
    assert len(modules) > 100
    for path in modules:
        for name in imported(ROOT / path):
            package, _, rest = name.partition(".")
            if package == "tests":
                assert rest.split(".")[0] in {"support", path.parts[1]}, path
                assert not any(part.startswith("test_") for part in rest.split(".")), path
