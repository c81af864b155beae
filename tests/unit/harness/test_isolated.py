"""The isolated test process runs the checks of its checkout alone."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.build import testing
from worker_images.files import ROOT

HOSTILE_PLUGIN = """
def pytest_collection_modifyitems(items):
    del items[3:]
"""


def collected(root: Path = ROOT, **environment: str) -> tuple[int, list[str]]:
    """Return the exit status and the checks that the isolated tests collect, without an image."""
    command = [
        sys.executable,
        "-I",
        str(root / testing.PROGRAM),
        "--collect-only",
        "-q",
        "--variant",
        "slim",
    ]
    result = commands.run(command, cwd=Path("/"), env=os.environ | environment)
    return result.returncode, [line for line in result.stdout.splitlines() if "::" in line]


@pytest.fixture(scope="module")
def all_checks() -> list[str]:
    status, found = collected()
    assert status == 0
    assert len(found) > 60
    return found


def copy_suite(root: Path) -> None:
    """Copy the image layer's tests, with the checks that it shares with others."""
    shutil.copytree(ROOT / "tests/image", root / "tests/image")
    (root / "tests/support").mkdir()
    shutil.copy(ROOT / "tests/support/runsc_checks.py", root / "tests/support")


def test_environment_does_not_select_checks(all_checks: list[str], tmp_path: Path) -> None:
    """Each variable alone would leave checks out, or end the run."""
    (tmp_path / "hostile.py").write_text(HOSTILE_PLUGIN)
    for name in ("yaml", "docker", "pydantic", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(1)\n")
    assert collected(
        PYTHONPATH=str(tmp_path),
        PYTHONOPTIMIZE="1",
        PYTEST_PLUGINS="hostile",
        PYTEST_ADDOPTS="-p hostile -k sidecars",
    ) == (0, all_checks)


def test_checkout_path_may_contain_special_characters(
    all_checks: list[str], compiled_checkout: Path
) -> None:
    """pytest expands variables in some of its paths."""
    root = compiled_checkout.with_name("a $HOME, b")
    compiled_checkout.rename(root)
    copy_suite(root)
    assert collected(root) == (0, all_checks)


def test_pytest_settings_of_the_checkout_leave_no_check_out(
    all_checks: list[str], compiled_checkout: Path
) -> None:
    """Otherwise a pyproject.toml that deselects modules would leave an image half tested."""
    copy_suite(compiled_checkout)
    path = compiled_checkout / "pyproject.toml"
    text, options = path.read_text(), '[tool.pytest.ini_options]\naddopts = "'
    hostile = "--ignore=tests/image/test_world.py --deselect=tests/image/test_ledger.py "
    assert options in text
    settings = 'python_functions = ["test_a"]\npython_files = ["test_w*.py"]\n'
    text = text.replace(options, f"{options}{hostile}")
    text = text.replace("[tool.pytest.ini_options]\n", f"[tool.pytest.ini_options]\n{settings}")
    path.write_text(text)
    assert collected(compiled_checkout) == (0, all_checks)


def test_hostile_plugin_selects_checks_without_isolation(tmp_path: Path) -> None:
    """A control: pytest without isolation loads the plugin."""
    (tmp_path / "hostile.py").write_text(HOSTILE_PLUGIN)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTEST_PLUGINS": "hostile"}
    command = [*commands.PYTEST, "--collect-only", "--variant", "slim", "tests/image"]
    result = commands.run(command, cwd=ROOT, env=environment)
    assert len([line for line in result.stdout.splitlines() if "::" in line]) == 3


def test_build_py_ignores_shadowed_modules_and_optimization(tmp_path: Path) -> None:
    """build.py must not depend on the folders in PYTHONPATH."""
    (tmp_path / "yaml.py").write_text("raise SystemExit(1)\n")
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path),
        "PYTHONOPTIMIZE": "1",
        "PYTHONIOENCODING": "latin-1",
    }
    command = [sys.executable, str(ROOT / "build.py"), "--variant", "slim", "--print", "plan"]
    result = commands.run(command, env=environment)
    assert (result.returncode, result.stderr) == (0, "")


def test_error_outside_a_check_is_not_a_failed_check(tmp_path: Path) -> None:
    """An exception outside a check, as in the clean-up after an engine stopped, ends with status 3.

    Python's own status would be 1, as for failed checks.
    """
    (tmp_path / "pytest.py").write_text(
        "def main(_):\n    raise RuntimeError('the target is gone')\n"
    )
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    program += (
        f"import runpy; runpy.run_path({str(ROOT / testing.PROGRAM)!r}, run_name='__main__')\n"
    )
    result = commands.run([sys.executable, "-c", program])
    assert result.returncode == 3
    assert "RuntimeError: the target is gone" in result.stderr


def test_file_in_the_checkout_replaces_no_module(
    all_checks: list[str], compiled_checkout: Path
) -> None:
    """Neither an installed module, nor one that an installed module imports if it exists."""
    copy_suite(compiled_checkout)
    for name in ("json", "brotli", "zstandard", "yaml"):
        (compiled_checkout / f"{name}.py").write_text("raise SystemExit(7)\n")
    assert collected(compiled_checkout) == (0, all_checks)
    (compiled_checkout / ".venv").symlink_to(ROOT / ".venv")
    command = [
        str(compiled_checkout / ".venv/bin/python"),
        str(compiled_checkout / "build.py"),
        "--variant",
        "slim",
        "--print",
        "plan",
    ]
    result = commands.run(command)
    assert result.returncode == 0, result.stderr
