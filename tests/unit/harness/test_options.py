"""Errors of the machine end a test run; errors of an image fail a check."""

import errno
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support import commands
from worker_images.files import ROOT
from worker_images.harness import options
from worker_images.model import xml


def run_test_raising(error: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a test that raises an error."""
    return run_test(f"def test_x():\n    raise {error}\n", folder)


def run_test(text: str, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest with the harness's options on a module."""
    (folder / "test_x.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [
        *commands.PYTEST,
        "-p",
        "worker_images.harness.options",
        "-p",
        "no:cacheprovider",
        *options,
        str(folder),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return commands.run(command, cwd=folder, env=environment)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_ends_the_run_with_exit_code_4(number: int, tmp_path: Path) -> None:
    result = run_test_raising(
        f"OSError({number}, 'No space left on device', '/small/file')", tmp_path
    )
    assert result.returncode == 4
    assert (
        "/small/file: No space left on device; layers are unpacked there; set TMPDIR"
        in result.stdout
    )
    assert "Traceback" not in result.stdout
    assert "def test_x" not in result.stdout


@pytest.mark.parametrize(
    "error",
    [
        "MemoryError()",
        *(f"OSError({number}, 'x')" for number in (errno.EFBIG, errno.EMFILE, errno.EROFS)),
    ],
)
def test_machine_limit_ends_the_run_with_exit_code_4(error: str, tmp_path: Path) -> None:
    result = run_test_raising(error, tmp_path)
    assert result.returncode == 4
    assert "; check ulimit -a" in result.stdout


def test_other_error_is_a_failed_check(tmp_path: Path) -> None:
    """A control: an error that an image can cause does not end the run."""
    assert run_test_raising(f"OSError({errno.ENOENT}, 'x')", tmp_path).returncode == 1


def run_trust_check(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run a check that needs more privileges, for an image that was not built in the folder."""
    return run_test(
        f"from pathlib import Path\nfrom worker_images.harness.options import require_trust\n"
        "def test_x(pytestconfig):\n"
        f"    require_trust(pytestconfig, 'image', Path({str(folder)!r}), 'sha256:1')\n",
        folder,
        *options,
    )


def test_check_that_needs_more_privileges_is_not_run_without_trust(tmp_path: Path) -> None:
    reason = "sha256:1 was not built here; add --trust to run checks that need more privileges"
    result = run_trust_check(tmp_path)
    assert result.returncode == 0
    assert f"not run: {reason} (1 check)" in result.stdout
    assert run_trust_check(tmp_path, "--require", "image").returncode == 1
    assert "1 passed" in run_trust_check(tmp_path, "--trust").stdout


def test_check_that_needs_more_privileges_runs_for_an_image_that_was_built_here(
    tmp_path: Path,
) -> None:
    (tmp_path / "build.json").write_text('{"image_id": "sha256:1"}')
    assert "1 passed" in run_trust_check(tmp_path).stdout


def properties(folder: Path, text: str, *options: str) -> dict[str, str]:
    """Run a module and return the properties of its JUnit file."""
    result = run_test(text, folder, f"--junit-xml={folder}/junit.xml", *options)
    assert result.returncode in {0, 1}, result.stdout + result.stderr
    found = xml.read(folder / "junit.xml").iter("property")
    return {each.get("name", ""): each.get("value", "") for each in found}


TWO = """
import pytest
from worker_images.harness import options
def pytest_collection_modifyitems(config, items):
    options.leave_out(config, items, [each for each in items if "left" in each.name])
"""


def test_report_names_the_collected_checks_and_the_variant(tmp_path: Path) -> None:
    """Checks that do not apply to the image are left out; checks that -k leaves out are not."""
    (tmp_path / "conftest.py").write_text(TWO)
    tests = "def test_one(): pass\ndef test_two(): assert False\ndef test_left(): pass\n"
    found = properties(tmp_path, tests, "--variant=slim", "-k", "one")
    assert json.loads(found["checks"]) == ["test_x.py::test_one", "test_x.py::test_two"]
    assert found["variant"] == "slim"


def test_report_of_other_tests_has_no_suite(tmp_path: Path) -> None:
    assert "suite" not in properties(tmp_path, "def test_x(): pass\n")


@dataclass
class Config:
    """The parts of pytest's configuration that name the selected checks."""

    args: list[str]
    options: Mapping[str, object]
    invocation_params: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(dir=ROOT))

    def getoption(self, name: str, default: object) -> object:
        return self.options.get(name, default)


@pytest.mark.parametrize(
    ("args", "chosen", "layer"),
    [
        (["tests/workload"], {}, "workload"),
        ([f"{ROOT}/tests/image/"], {"mode": "built", "keyword": "", "deselect": None}, "image"),
        (["tests/image"], {"mode": "derived"}, ""),
        (["tests/workload"], {"keyword": "sandbox"}, ""),
        (["tests/workload"], {"markexpr": "variant"}, ""),
        (["tests/workload"], {"deselect": ["tests/workload/test_host.py"]}, ""),
        (["tests/workload"], {"ignore": ["tests/workload/test_host.py"]}, ""),
        (["tests/workload"], {"ignore_glob": ["*host*"]}, ""),
        (["tests/workload/test_host.py"], {}, ""),
        (["tests/workload/test_host.py::test_driver"], {}, ""),
        (["tests/workload", "tests/image"], {}, ""),
        (["tests"], {}, ""),
        ([], {}, ""),
    ],
)
def test_suite_is_recorded_only_for_all_checks_of_a_layer(
    args: list[str], chosen: Mapping[str, object], layer: str
) -> None:
    assert options._whole_layer(Config(args, chosen)) == layer  # type: ignore[arg-type] # noqa: SLF001
