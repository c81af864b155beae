"""The advice of explain: for a refused driver as compat gives it, and for a missing capability."""

import json
from pathlib import Path

import pytest

from worker_images.cli import main as cli
from worker_images.files import ROOT
from worker_images.node.cli import main
from worker_images.node.explain import signatures

DRIVER = "FATAL ERROR: registering nvproxy driver: unsupported Nvidia driver version: {}\n"
Capture = pytest.CaptureFixture[str]


def written(folder: Path, text: str) -> Path:
    (folder / "log").write_text(text)
    return folder / "log"


def explained(capsys: Capture, log: Path) -> str:
    assert main(["explain", str(log)], ROOT) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("version", "texts"),
    [
        ("20250407.0, go1.24.1, amd64", ["dropped in 20240916.0", "install driver 535.183.01"]),
        ("20260427.0, go1.25.1, arm64", ["gVisor releases"]),
    ],
)
def test_release_and_architecture_are_those_of_the_log(
    version: str, texts: list[str], tmp_path: Path, capsys: Capture
) -> None:
    banner = f"I1121 cli.go:272] Version release-{version}, 8 CPUs, linux, PID 1, PPID 0\n"
    log = written(tmp_path, banner + DRIVER.format("535.129.03"))
    output = explained(capsys, log)
    assert [text for text in texts if text not in output] == []


def test_advice_is_that_of_compat_for_the_same_driver(tmp_path: Path, capsys: Capture) -> None:
    """One function answers both."""
    banner = "Version release-20250407.0, go1.24.1, amd64, 8 CPUs\n"
    log = written(tmp_path, banner + DRIVER.format("535.129.03"))
    output = explained(capsys, log)
    query = ["compat", "--driver", "535.129.03", "--release", "20250407.0", "--json"]
    assert cli.main(query, ROOT) == 7
    answer = json.loads(capsys.readouterr().out)
    assert answer["reasons"]["535.129.03"] in output
    assert answer["next"]["535.129.03"] in output


@pytest.mark.parametrize(
    ("driver", "text"),
    [
        ("540.04.00", "a driver of Jetson (L4T), which no gVisor release serves"),
        ("595.71.05", "give runsc --nvproxy-allow-unsupported-driver"),
        ("580.95.05", "which does not serve 580.159.04 of the fleet"),
        ("580.159.02", "no gVisor release up to 20260817.0 serves 580.159.02"),
    ],
)
def test_refused_driver_gets_the_advice_of_its_kind(
    driver: str, text: str, tmp_path: Path, capsys: Capture
) -> None:
    banner = "Version release-20260622.0, go1.25.1, amd64, 8 CPUs\n"
    log = written(tmp_path, banner + DRIVER.format(driver))
    assert text in explained(capsys, log)


@pytest.mark.parametrize(
    ("call", "capability"),
    [
        ("control command 0xb0cc0101", "profiling"),
        ("control command 0x801f02", "video"),
        ("control command 0x301", "graphics"),
        ("allocation class 0x0000b1cc", "profiling"),
        ("allocation class 0x0000c9b7", "video"),
        ("allocation class 0x0000c597", "graphics"),
        ("allocation class 0x000000f1", "fabric-imex-mgmt"),
        ("frontend ioctl 65 == 0x41", "graphics"),
        ("uvm ioctl 70 = 0x46", "video"),
        ("allocation class 0x00001234", signatures.UNKNOWN_CAPABILITY),
        ("something else", signatures.UNKNOWN_CAPABILITY),
    ],
)
def test_missing_capability_is_named_by_the_call(call: str, capability: str) -> None:
    assert signatures.capability(call) == capability
