"""Errors of the machine end a test run; errors of an image fail a check."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.files import ROOT


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
