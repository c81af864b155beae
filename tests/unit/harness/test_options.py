"""Errors of the machine end a test run; errors of an image fail a check."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.files import ROOT


def run_test_raising(error: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run pytest with the harness's options on a test that raises an error."""
    (folder / "test_x.py").write_text(f"def test_x():\n    raise {error}\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [
        *commands.PYTEST,
        "-p",
        "worker_images.harness.options",
        "-p",
        "no:cacheprovider",
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
