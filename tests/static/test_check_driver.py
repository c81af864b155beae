"""Does the init container of deploy/ refuse a node whose driver runsc does not serve?"""

import os
import subprocess
from pathlib import Path

import pytest

from worker_images.files import ROOT

SCRIPT = ROOT / "deploy/base/check-driver"
# tests/cluster runs the script in the image; this program prints what runsc does.
RUNSC = """#!/bin/sh
case "$*" in
  "nvproxy list-supported-drivers") printf '550.90.12\\n580.159.04\\n620.06.00\\n' ;;
  --version) printf 'runsc version release-20260622.0\\nspec: 1.2.1\\n' ;;
  *) exit 2 ;;
esac
"""
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (dvs-builder)\n"
CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Thu Oct 19 18:56:32 UTC 2023\n"
COMPILER = "GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)\n"


def checked(folder: Path, text: str | None, runsc: str = RUNSC) -> tuple[int, str, str]:
    """Run the script on a node with this driver file; return its status, output and errors."""
    program, file = folder / "runsc", folder / "version"
    program.write_text(runsc)
    program.chmod(0o755)
    if text is not None:
        file.write_text(text)
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "DRIVER_FILE": str(file),
        "NODE_NAME": "gpu-7",
    }
    command = ["sh", str(SCRIPT)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr.replace(str(file), "FILE")


@pytest.mark.parametrize("line", [OPEN, CLOSED])
@pytest.mark.parametrize("driver", ["550.90.12", "580.159.04", "620.06"])
def test_served_driver_passes(line: str, driver: str, tmp_path: Path) -> None:
    status, output, errors = checked(tmp_path, line.format(driver) + COMPILER)
    assert (status, errors) == (0, "")
    assert output == f"gpu-7: gVisor 20260622.0 serves driver {driver}\n"


@pytest.mark.parametrize("line", [OPEN, CLOSED])
@pytest.mark.parametrize("driver", ["595.71.05", "580.159.0", "580.159.041", "580x159.04"])
def test_other_driver_is_refused_with_the_next_step(line: str, driver: str, tmp_path: Path) -> None:
    status, output, errors = checked(tmp_path, line.format(driver) + COMPILER)
    assert (status, output) == (7, "")
    if "x" in driver:
        assert errors == "gpu-7: FILE names no driver version; reload the driver\n"
        return
    assert errors == (
        f"gpu-7: driver {driver} is not served by gVisor 20260622.0 of this image; for the releases"
        f" that serve it, run: ./build.py compat --driver {driver} --release 20260622.0\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no NVIDIA driver: FILE does not exist; load the driver, or keep workers off"),
        ("", "FILE names no driver version; reload the driver"),
        (COMPILER, "FILE names no driver version; reload the driver"),
    ],
)
def test_node_without_a_driver_is_refused(text: str | None, message: str, tmp_path: Path) -> None:
    status, output, errors = checked(tmp_path, text)
    assert (status, output) == (7, "")
    assert errors.startswith(f"gpu-7: {message}")


def test_image_whose_runsc_fails_is_refused(tmp_path: Path) -> None:
    text = OPEN.format("580.159.04")
    status, _, errors = checked(tmp_path, text, "#!/bin/sh\nexit 1\n")
    assert status == 7
    assert "runsc nvproxy list-supported-drivers failed; use a worker image" in errors
