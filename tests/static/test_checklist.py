"""Does the requirements' checklist name tests that exist?"""

import ast
from pathlib import Path

import pytest

from worker_images.files import ROOT
from worker_images.node.verify import checklist

TESTS = [test for row in checklist.load() for test in row.tests]


def unknown(tests: list[str], root: Path) -> list[str]:
    """Return the tests that do not exist."""
    return [test for test in tests if test.partition("::")[2] not in functions(root, test)]


def functions(root: Path, test: str) -> set[str]:
    """Return the functions of a test's module."""
    path = root / test.partition("::")[0]
    tree = ast.parse(path.read_text() if path.exists() else "")
    own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    shared = [node.names for node in tree.body if isinstance(node, ast.ImportFrom)]
    return own | {each.name for names in shared for each in names}


def test_checklist_names_tests_that_exist() -> None:
    assert len(TESTS) > 20
    assert unknown(TESTS, ROOT) == []


@pytest.mark.parametrize("test", ["tests/image/test_runsc.py::test_none", "tests/none.py::test_a"])
def test_unknown_test_is_reported(test: str) -> None:
    """A control: the search for missing tests finds one."""
    assert unknown([test], ROOT) == [test]
