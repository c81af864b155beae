"""The node's driver in a pod: its version, files, nvidia-smi and fabric."""

import subprocess
from pathlib import Path

import pytest

from tests.support import fake_worker
from tests.support.fake_worker import DRIVER
from worker_images.files import ROOT
from worker_images.model.drivers import table
from worker_images.node.place import CommandResult
from worker_images.node.pod import driver

DRIVERS = table.read(ROOT / table.DRIVERS)
TEXT = f"""{fake_worker.VERSION}
/usr/local/nvidia/lib64/libcuda.so.{DRIVER}
/usr/local/nvidia/lib64/libnvidia-ml.so.{DRIVER}
/usr/lib/x86_64-linux-gnu/libcrypto.so.3.0.1
/usr/local/nvidia/bin/nvidia-smi
"""
FILES = driver.files(TEXT)
UUIDS = "GPU 0: NVIDIA H100 (UUID: GPU-1)\n"


def test_driver_is_read_from_the_pod() -> None:
    """Files of GKE's device plugin, and no library of another project."""
    assert driver.loaded(TEXT) == DRIVER
    assert [path.name.partition(".so")[0] for path in FILES] == ["libcuda", "libnvidia-ml"]
    assert driver.program(TEXT) == "/usr/local/nvidia/bin/nvidia-smi"
    assert driver.program("") == driver.loaded("") == ""


def test_nvidia_smi_finds_nvml_in_its_folder(tmp_path: Path) -> None:
    """The loader does not search the folder of GKE's device plugin."""
    program = tmp_path / "bin/nvidia-smi"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$LD_LIBRARY_PATH $1"\n')
    program.chmod(0o755)
    text = TEXT.replace("/usr/local/nvidia/bin", str(program.parent))
    line = f"{driver.command(text)} -L"
    printed = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert printed.stdout == "/usr/local/nvidia/lib64 -L\n"
    assert driver.command("") == ""


@pytest.mark.parametrize(
    ("version", "served", "problem"),
    [
        (DRIVER, [DRIVER], ""),
        ("550.90", ["550.90.00"], ""),
        ("550.90", ["550.90.12"], "this image's runsc does not serve the node's driver 550.90"),
        (
            "540.4.0",
            [DRIVER],
            (
                "this image's runsc does not serve the node's driver 540.4.0: sandboxes end with"
                " EOF; a driver of Jetson (L4T), which no gVisor release serves; keep GPU"
            ),
        ),
        ("", [DRIVER], "no driver version in /proc/driver/nvidia/version: the node's driver is"),
        (DRIVER, [], "runsc lists no drivers"),
        (
            "550.54.14",
            [DRIVER],
            (
                "this image's runsc does not serve the node's driver 550.54.14: sandboxes end with"
                " EOF; gVisor releases 20240325.0 to 20250811.0 serve 550.54.14"
            ),
        ),
    ],
)
def test_runsc_serves_the_driver(version: str, served: list[str], problem: str) -> None:
    found = driver.served(version, served, DRIVERS).problem
    assert found.startswith(problem)
    assert bool(found) == bool(problem)


def test_advice_is_for_the_release_and_architecture_of_the_pod() -> None:
    """The release is the one whose list runsc prints."""
    served = DRIVERS.get("20260622.0")
    assert served
    for architecture, named in (("amd64", "580.105.08"), ("arm64", "580.126.09")):
        found = driver.served("580.95.05", served.supported, DRIVERS, architecture).problem
        assert f"install driver {named}" in found
        assert "which does not serve 580.159.04 of the fleet" in found


def test_driver_files_have_the_version_of_the_driver() -> None:
    assert driver.libraries(DRIVER, FILES).problem == ""
    missing = driver.libraries(DRIVER, FILES[:1]).problem
    assert missing.startswith("no libnvidia-ml: the container runtime did not add the driver's")
    assert driver.libraries(DRIVER, ()).problem.startswith("no libcuda and no libnvidia-ml")
    assert driver.libraries("", FILES).problem.startswith("no driver version in")
    more = (*FILES, Path("/usr/lib64/libcuda.so.550.54.14"))
    assert "recreate the pod, and remove CUDA compat" in driver.libraries(DRIVER, more).problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (UUIDS, ""),
        ("", "nvidia-smi lists 0 GPUs, but /dev has 1; this fails without gVisor"),
        (f"{UUIDS}{UUIDS}", "nvidia-smi lists 2 GPUs, but /dev has 1"),
        (f"{UUIDS}  MIG 1g.10gb Device 0: (UUID: MIG-1)\n", "the GPU is divided by MIG"),
    ],
)
def test_nvidia_smi_lists_the_gpus_of_dev(text: str, problem: str) -> None:
    found = driver.listed(CommandResult(0, text, ""), 1).problem
    assert found.startswith(problem)
    assert bool(found) == bool(problem)


def test_nvidia_smi_that_fails_is_quoted() -> None:
    """On some nodes nvidia-smi is a script, which starts a program that the pod does not have."""
    found = driver.listed(CommandResult(127, "", "/usr/bin/nvidia-smi: 9: exec: not found\n"), 1)
    assert "nvidia-smi fails in the pod: /usr/bin/nvidia-smi: 9: exec: not found;" in found.problem


def fabric(state: str, status: str) -> str:
    return f"    Fabric\n        State                 : {state}\n        Status    : {status}\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ""),
        (fabric("N/A", "N/A"), ""),
        (fabric("Completed", "Success"), ""),
        (fabric("In Progress", "N/A"), "the GPU's fabric is In Progress, N/A: CUDA fails with 802"),
        (fabric("Completed", "Failure"), "the GPU's fabric is Completed, Failure"),
    ],
)
def test_gpus_behind_a_switch_have_joined_its_fabric(text: str, problem: str) -> None:
    found = driver.fabric(text).problem
    assert found.startswith(problem)
    assert bool(found) == bool(problem)
