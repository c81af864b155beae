"""Does each component have a file of tests?"""

import ast
from collections.abc import Iterator
from pathlib import Path

from worker_images.files import ROOT

TESTS = """\
import pytest

NAME = "jq"
pytestmark = [pytest.mark.mode("built"), pytest.mark.component(NAME)]
"""
TEST = "\n\ndef test_jq() -> None: ...\n"


def components_of(text: str) -> Iterator[str]:
    """Yield the components in the `pytestmark` of a file that has tests."""
    body = ast.parse(text).body
    if not any(
        isinstance(each, ast.FunctionDef) and each.name.startswith("test_") for each in body
    ):
        return
    values = {
        ast.unparse(each.targets[0]): each.value for each in body if isinstance(each, ast.Assign)
    }
    for node in ast.walk(values.get("pytestmark", ast.Constant(None))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.component":
            name = node.args[0]
            yield str(ast.literal_eval(values.get(ast.unparse(name), name)))


def untested(root: Path) -> list[str]:
    """Return a message for each component without a file of tests."""
    files = (root / "tests/image").glob("test_*.py")
    found = {name for file in files for name in components_of(file.read_text())}
    names = sorted(path.name for path in (root / "images/components").iterdir() if path.is_dir())
    return [
        f"images/components/{name} has no tests: write tests/image/test_{name.replace('-', '_')}.py"
        f' with pytestmark = pytest.mark.component("{name}")'
        for name in names
        if name not in found
    ]


def test_every_component_has_a_file_of_tests() -> None:
    assert untested(ROOT) == []


def test_component_without_a_file_of_tests_is_reported(tmp_path: Path) -> None:
    (tmp_path / "images/components/jq").mkdir(parents=True)
    (tmp_path / "tests/image").mkdir(parents=True)
    file = tmp_path / "tests/image/test_jq.py"
    message = (
        "images/components/jq has no tests: write tests/image/test_jq.py with pytestmark ="
        ' pytest.mark.component("jq")'
    )
    assert untested(tmp_path) == [message]
    file.write_text(TESTS)
    assert untested(tmp_path) == [message]
    file.write_text(TESTS.replace("NAME)", "'runc')") + TEST)
    assert untested(tmp_path) == [message]
    file.write_text(TESTS + TEST)
    assert untested(tmp_path) == []
