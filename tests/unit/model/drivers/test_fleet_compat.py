"""Every node of a fleet gets its own answer: an odd one hides no other."""

import json
from pathlib import Path

import pytest

from tests.support.drivers import TABLE
from worker_images.cli import main
from worker_images.files import ROOT
from worker_images.model.drivers import advice, fleet, fleet_compat
from worker_images.model.drivers.compat import Pinned
from worker_images.model.drivers.fleet import Node
from worker_images.model.drivers.version import VersionError

REPORT = ROOT / "tests/unit/reports/launch/06-fleet-with-jetson.fleet"


def test_reported_fleet_gets_an_answer_for_every_node(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["compat", "--fleet", str(REPORT), "--json"], ROOT) == 7
    answer = json.loads(capsys.readouterr().out)
    assert [each["answer"] for each in answer["nodes"]] == ["supported", "not servable", "unknown"]
    assert (answer["breaks"], [*answer["apart"]]) == (["gpu-b"], ["edge-1"])


@pytest.mark.parametrize(
    ("text", "apart"),
    [
        ("540.4.0", "540.4.0  a driver of Jetson (L4T), which no gVisor release serves; keep GPU"),
        ("535.54.3", "'535.54.3' is not a driver version; did you mean 535.54.03?"),
        ("latest", "'latest' is not a driver version; write it as nvidia-smi does"),
    ],
)
def test_one_odd_node_hides_no_other(
    text: str, apart: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report 06-fleet-with-jetson, and nodes whose text is not a version."""
    (tmp_path / "nodes").write_text(f"gpu-a 580.159.04\nedge-1 {text}\ngpu-b 580.95.05\n")
    assert main.main(["compat", "--fleet", str(tmp_path / "nodes")], ROOT) == 7
    output = capsys.readouterr()
    assert "breaks     gpu-b  580.95.05  unknown" in output.out
    assert f"apart      edge-1  {apart}" in output.out
    assert "1 served, 1 would break, 1 that no release serves" in output.out
    assert "gpu-a" not in output.out
    assert "does not serve 580.95.05" in output.err


def test_fleet_with_only_odd_nodes_fails_with_their_reason() -> None:
    nodes = fleet.read("gpu-a 580.159.04\nedge-1 540.4.0\n", TABLE)
    row = TABLE.get("20260622.0")
    assert row
    found = fleet_compat.check(nodes, row, TABLE, Pinned(row.name, ()))
    assert found.error.startswith("edge-1: a driver of Jetson (L4T)")
    assert [each["answer"] for each in found.data["nodes"]] == ["supported", "not servable"]  # type: ignore[attr-defined]


def test_advice_for_nodes_is_that_of_their_architecture() -> None:
    nodes = [
        Node("gpu-a", "580.105.09", "amd64"),
        Node("gpu-b", "580.105.09", "arm64"),
        Node("gpu-c", "580.126.21", "arm64"),
    ]
    row = TABLE.get("20260511.0")
    assert row
    found = fleet_compat.check(nodes, row, TABLE, Pinned(row.name, ()))
    assert found.data["next"] == {
        "580.105.09 on amd64": "install driver 580.126.09",
        "580.105.09 on arm64": "install driver 580.126.09",
        "580.126.21 on arm64": "install driver 580.126.09",
    }
    labels = {fleet.LABEL: "580.105.09", fleet.ARCHITECTURE: "arm64"}
    written = json.dumps([{"metadata": {"name": "gpu-a", "labels": labels}}])
    assert fleet.read(written, TABLE) == (Node("gpu-a", "580.105.09", "arm64"),)


MIXED = """\
gpu-a   580.159.04
cpu-1   <none>
grace   580.105.09   aarch64
gpu-b   580.105.09   amd64   # spare
"""
COLUMNS = """\
NAME    STATUS   AGE   ARCH    CUDA.DRIVER-VERSION.FULL   ARCHIVE
gpu-a   Ready    9d    amd64   580.159.04
grace   Ready    9d    arm64   580.95.05                  x
cpu-1   Ready    9d    amd64
"""


def test_fleet_of_mixed_lines_is_read() -> None:
    """kubectl prints <none> with -o custom-columns; a third column is the architecture."""
    assert fleet.read(MIXED, TABLE) == (
        Node("gpu-a", "580.159.04"),
        Node("cpu-1", ""),
        Node("grace", "580.105.09", "arm64"),
        Node("gpu-b", "580.105.09", "amd64"),
    )
    with pytest.raises(VersionError, match="line 2: 1 field; use a node's name and its driver"):
        fleet.read("apiVersion: v1\nitems:\n", TABLE)
    with pytest.raises(VersionError, match="line 1: 3 fields;"):
        fleet.read("gpu-a 580.159.04 Ready\n", TABLE)


def test_column_of_architectures_is_read() -> None:
    """The output of kubectl get nodes -L kubernetes.io/arch,nvidia.com/..., in any order."""
    assert fleet.read(COLUMNS, TABLE) == (
        Node("gpu-a", "580.159.04", "amd64"),
        Node("grace", "580.95.05", "arm64"),
        Node("cpu-1", "", "amd64"),
    )


def test_guest_of_a_vgpu_host_is_not_advised_to_take_another_driver() -> None:
    labels = {fleet.LABEL: "550.144.02", fleet.VGPU: "true"}
    others = {fleet.LABEL: "550.144.03", fleet.VGPU: "false"}
    written = [{"metadata": {"name": "a", "labels": each}} for each in (labels, others)]
    row = TABLE.get("20260622.0")
    assert row
    found = fleet_compat.check(
        fleet.read(json.dumps(written), TABLE), row, TABLE, Pinned(row.name, ())
    )
    assert found.data["next"] == {
        "550.144.02 in a vGPU guest": advice.VGPU_FIX,
        "550.144.03": "install driver 550.90.12 (not published for arm64)",
    }
