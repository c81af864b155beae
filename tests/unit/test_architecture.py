"""Rules that import-linter cannot check: printing, the standard library on nodes, sizes."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from worker_images.build import kit
from worker_images.files import ROOT

MODULES = sorted((ROOT / "worker_images").rglob("*.py"))
MAX_LINES = 250
CONSOLE = ROOT / "worker_images/console.py"


def nodes(path: Path) -> Iterator[ast.AST]:
    """Return the syntax nodes of a module."""
    return ast.walk(ast.parse(path.read_text()))


def imported(path: Path) -> Iterator[str]:
    """Return the full names of the modules, and of the names in modules, that a module imports."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_only_console_prints() -> None:
    for path in set(MODULES) - {CONSOLE}:
        called = {
            node.func.id
            for node in nodes(path)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not called & {"print", "exit"}, path


def test_gpu_kit_needs_only_the_standard_library() -> None:
    """Its checks also import pytest, which the kit contains."""
    parts = {path for pattern in kit.PARTS for path in ROOT.glob(pattern) if path.suffix == ".py"}
    assert len(parts) > 40
    for path in parts - {ROOT / "tests/workload/probes/test_gpu.py"}:
        found = {name.split(".")[0] for name in imported(path)}
        checks = path.parent.name == "workload" or path.name == "options.py"
        allowed = {"pytest"} if checks else {"torch"}
        assert (
            found - sys.stdlib_module_names - {"worker_images", "tests", "driver_api"} <= allowed
        ), path


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


def test_functions_and_modules_are_small() -> None:
    for path in MODULES:
        assert len(path.read_text().splitlines()) <= MAX_LINES, path
        long = [
            node
            for node in nodes(path)
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 40
        ]
        assert not long, path
