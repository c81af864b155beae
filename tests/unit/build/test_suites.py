"""`build.py test` runs layers, reports results, and exits with 5 when a test failed."""

import subprocess
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.build import suites
from worker_images.errors import UsageError
from worker_images.files import ROOT
from worker_images.model.project import Project


def run(checkout: Path, body: str) -> "subprocess.CompletedProcess[str]":
    """Run `build.py test unit` in a checkout whose unit layer is one test."""
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    (checkout / "tests/unit").mkdir(parents=True)
    (checkout / "tests/unit/test_one.py").write_text(f"def test_one() -> None:\n    {body}\n")
    return commands.run([str(ROOT / ".venv/bin/python"), "build.py", "test", "unit"], cwd=checkout)


def test_passed_layer_is_in_the_table(compiled_checkout: Path) -> None:
    done = run(compiled_checkout, "assert True")
    assert done.returncode == 0, done.stderr
    assert "unit      all            1       0        0" in done.stdout


def test_failed_layer_exits_5_with_the_table(compiled_checkout: Path) -> None:
    done = run(compiled_checkout, "assert False")
    assert done.returncode == 5
    assert "unit      all            0       1        0" in done.stdout
    assert "failed test layers: unit" in done.stderr


def test_unknown_layer_error_names_the_known_ones(project: Project) -> None:
    with pytest.raises(UsageError, match="no such test layer; known layers: unit, static, image"):
        suites.run(project, ["smal"], print)


def test_skip_without_a_reason_of_the_machine_exits_5(compiled_checkout: Path) -> None:
    done = run(compiled_checkout, 'import pytest; pytest.skip("later")')
    assert done.returncode == 5
    assert "skipped without a reason" in done.stderr
