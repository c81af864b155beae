"""`build.py test` runs layers, reports results, and exits with 5 when a test failed."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.build import suites
from worker_images.errors import UsageError
from worker_images.files import ROOT
from worker_images.model.project import Project

WAITING = """\
import pathlib, signal
def test_one() -> None:
    made = pathlib.Path("made")
    made.touch()
    try:
        signal.pause()
    finally:
        made.unlink()
"""


def run_pod_layer(
    checkout: Path, body: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run `build.py test pod` in a checkout whose pod layer is one test."""
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    (checkout / "tests/pod").mkdir(parents=True)
    text = f"import pytest\ndef test_one(pytestconfig: pytest.Config) -> None:\n    {body}\n"
    (checkout / "tests/pod/test_one.py").write_text(text)
    command = [str(ROOT / ".venv/bin/python"), "build.py", "test", "pod"]
    environment = {name: each for name, each in os.environ.items() if name != "CONTEXT"}
    return commands.run(command, cwd=checkout, env=environment | variables)


def test_pod_layer_has_the_options_of_make(compiled_checkout: Path) -> None:
    names = "('context', 'namespace', 'pod')"
    body = f"assert [pytestconfig.getoption(x) for x in {names}] == ['lab', 'gpu', 'worker']"
    done = run_pod_layer(compiled_checkout, body, CONTEXT="lab", NAMESPACE="gpu")
    assert done.returncode == 0, done.stdout
    assert "pod       all            1       0        0" in done.stdout


@pytest.mark.parametrize(
    ("name", "environment", "expected"),
    [("pod", {}, "cluster"), ("pod", {"CONTEXT": "lab"}, "pod"), ("unit", {}, "unit")],
)
def test_pod_layer_without_a_context_is_that_of_this_machine(
    name: str, environment: dict[str, str], expected: str
) -> None:
    assert suites.layer_of(name, environment) == expected


def test_pod_without_a_context_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="POD without CONTEXT"):
        suites.layer_of("pod", {"POD": "worker", "NAMESPACE": "gpu"})


def test_interrupt_reaches_the_tests_which_remove_what_they_made(compiled_checkout: Path) -> None:
    (compiled_checkout / ".venv").symlink_to(ROOT / ".venv")
    (compiled_checkout / "tests/unit").mkdir(parents=True)
    (compiled_checkout / "tests/unit/test_one.py").write_text(WAITING)
    command = [str(ROOT / ".venv/bin/python"), "build.py", "test", "unit"]
    with subprocess.Popen(command, cwd=compiled_checkout, stdout=subprocess.PIPE) as process:
        assert process.stdout
        made = compiled_checkout / "made"
        while not made.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 130
    assert not made.exists()


def test_pod_that_is_lost_exits_4(compiled_checkout: Path) -> None:
    done = run_pod_layer(compiled_checkout, "pytest.exit('lost', returncode=4)", CONTEXT="lab")
    assert done.returncode == 4
    assert "the checks of the pod did not end; the error is above" in done.stderr


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
