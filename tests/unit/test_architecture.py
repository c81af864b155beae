"""Rules that import-linter cannot check: who prints, and what code may import."""

import sys
from pathlib import Path

from tests.support.syntax import called, imported
from worker_images.build import kit
from worker_images.files import ROOT

CONSOLE = ROOT / "worker_images/console.py"
OWN = {"worker_images", "tests", "all_reduce", "driver_api", "facts"}


def external(path: Path) -> set[str]:
    """Return the packages that a module imports beside the standard library and our own."""
    return {name.split(".")[0] for name in imported(path)} - sys.stdlib_module_names - OWN


def test_only_console_prints() -> None:
    modules = set((ROOT / "worker_images").rglob("*.py")) - {CONSOLE}
    assert [path for path in modules if called(path) & {"print", "exit"}] == []


# What programs of users import.
USERS = {"torch", "transformers"}


def test_node_code_needs_only_the_standard_library() -> None:
    """Its tests also import pytest, which the kit contains; programs of users import torch."""
    parts = {path for pattern in kit.PARTS for path in ROOT.glob(pattern) if path.suffix == ".py"}
    assert len(parts) > 40
    for path in parts - {ROOT / "tests/workload/probes/test_gpu.py"}:
        is_test = path.parent.name in {"workload", "pod"} or path.name == "options.py"
        assert external(path) <= ({"pytest"} if is_test else USERS), path


def own_module(name: str) -> Path | None:
    """Return the file of our module with this name, or of the module that has the name."""
    path = ROOT / name.replace(".", "/")
    found = (file.with_suffix(".py") for file in (path, path.parent))
    return next((file for file in found if file.is_file()), None)


def test_kit_has_every_module_that_its_modules_import() -> None:
    """Without one the commands do not start on a node."""
    parts = {path for pattern in kit.PARTS for path in ROOT.glob(pattern) if path.suffix == ".py"}
    names = {name for path in parts for name in imported(path)}
    wanted = {path for path in map(own_module, names) if path}
    assert len(wanted) > 40
    assert wanted - parts == set()


def test_image_tests_need_only_pytest_and_testinfra() -> None:
    tests = set(ROOT.glob("tests/image/*.py"))
    assert len(tests) > 10
    assert [path for path in tests if not external(path) <= {"pytest", "testinfra"}] == []
