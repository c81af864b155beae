"""The query `build.py compat --node`: what a machine's driver is, and what it is not."""

import re
from pathlib import Path

import pytest

from tests.support.drivers import CLOSED, OPEN
from worker_images.cli import compat, main
from worker_images.files import ROOT
from worker_images.model.drivers import kernel, version
from worker_images.model.drivers.kernel import Machine

REPORTS = ROOT / "tests/unit/reports/launch"


def run_compat(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Return the exit code and both streams of the command."""
    code = main.main(["compat", *argv], ROOT)
    output = capsys.readouterr()
    return code, output.out, output.err


def node_of(folder: Path, text: str) -> Path:
    """A node's root whose /proc/driver/nvidia/version is this text."""
    (folder / "proc/driver/nvidia").mkdir(parents=True)
    (folder / "proc/driver/nvidia/version").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("form", "driver", "architecture"),
    [
        (OPEN, "580.159.04", "amd64"),
        (CLOSED, "535.129.03", "amd64"),
        (OPEN.replace("x86_64", "aarch64"), "580.142", "arm64"),
    ],
)
def test_node_driver_is_read_from_open_and_proprietary_modules(
    form: str, driver: str, architecture: str, tmp_path: Path
) -> None:
    found = compat._node(node_of(tmp_path, form.format(driver)))  # noqa: SLF001
    assert found == Machine(driver, f"{tmp_path}/proc/driver/nvidia/version", architecture)


@pytest.mark.parametrize(
    ("name", "code", "texts"),
    [
        ("01-open-module", 7, ["known, not served", "--nvproxy-allow-unsupported-driver"]),
        ("04-spark-580.142", 7, ["20260622.0: not served", "install driver 580.159.03"]),
        (
            "05-jetson-540",
            7,
            ["which no gVisor release serves", "no other driver can be installed"],
        ),
    ],
)
def test_reported_node_gets_its_answer(
    name: str,
    code: int,
    texts: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = node_of(tmp_path, (REPORTS / f"{name}.proc").read_text())
    machine = compat._node(root)  # noqa: SLF001
    monkeypatch.setattr(compat, "_node", lambda: machine)
    status, out, err = run_compat(capsys, "--node")
    assert status == code
    assert all(text in out + err for text in texts)
    assert ("install driver" in out) == (name != "05-jetson-540")


def test_nvidia_smi_without_a_kernel_driver_is_no_served_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report 07-wsl2-nvidia-smi: the version is that of the driver of Windows."""
    program = tmp_path / "nvidia-smi"
    program.write_text((REPORTS / "07-wsl2-nvidia-smi.sh").read_text())
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    root = tmp_path / "root"
    (root / "dev").mkdir(parents=True)
    for place, kind in (("dev/none", "no kernel module"), ("dev/dxg", "WSL2")):
        (root / place).touch()
        machine = compat._node(root)  # noqa: SLF001
        assert (machine.driver, machine.source, machine.kind) == ("555.99", "nvidia-smi", kind)
        monkeypatch.setattr(compat, "_node", lambda found=machine: found)
        code, out, err = run_compat(capsys, "--node")
        monkeypatch.undo()
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        assert code == 7
        assert "this machine has no NVIDIA kernel driver" in err
        assert "nvproxy cannot work" in err
        assert "install driver" not in out
        assert ("driver of Windows" in out) == (kind == "WSL2")


def test_node_driver_is_read_from_nvidia_smi_where_proc_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may hide /proc/driver/nvidia, and still have the driver's devices."""
    program = tmp_path / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\ntest "$*" = "--query-gpu=driver_version --format=csv,noheader" && echo'
        " 580.159.04\necho 580.159.04\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    found = compat._node(tmp_path)  # noqa: SLF001
    assert (found.driver, found.source, found.kind) == ("580.159.04", "nvidia-smi", "")
    program.write_text("#!/bin/sh\necho NVIDIA-SMI has failed\nexit 9\n")
    with pytest.raises(version.VersionError, match=re.escape(kernel.NO_DRIVER)):
        compat._node(tmp_path)  # noqa: SLF001
