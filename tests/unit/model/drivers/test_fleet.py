"""A fleet's nodes in each form that people have them in, and which of them a release would
break.
"""

import io
import json
from pathlib import Path

import pytest

from tests.support.drivers import TABLE
from worker_images.cli import main
from worker_images.files import ROOT
from worker_images.model.drivers import compat, fleet
from worker_images.model.drivers.compat import Pinned
from worker_images.model.drivers.fleet import Node
from worker_images.model.drivers.version import VersionError

NODES = (Node("gpu-a", "580.159.04"), Node("gpu-b", "595.71.05"), Node("cpu-a", ""))


# As kubectl get nodes -L nvidia.com/cuda.driver-version.full writes it.
COLUMNS = """\
NAME    STATUS                     ROLES           AGE   VERSION   CUDA.DRIVER-VERSION.FULL
gpu-a   Ready                      <none>          12d   v1.34.1   580.159.04
gpu-b   Ready,SchedulingDisabled   <none>          12d   v1.34.1   595.71.05
cpu-a   Ready                      control-plane   12d   v1.34.1
"""


OLDER = {
    "nvidia.com/cuda.driver.major": "595",
    "nvidia.com/cuda.driver.minor": "71",
    "nvidia.com/cuda.driver.rev": "05",
}


def listed(*labels: dict[str, str] | None) -> str:
    """What kubectl get nodes -o json says."""
    items = [
        {"metadata": {"name": node.name, "labels": each}}
        for node, each in zip(NODES, labels, strict=False)
    ]
    return json.dumps({"kind": "List", "items": items})


@pytest.mark.parametrize(
    "text",
    [
        COLUMNS,
        listed(
            {"nvidia.com/cuda.driver-version.full": "580.159.04"},
            OLDER,
            {"kubernetes.io/os": "linux"},
        ),
        listed({"nvidia.com/cuda.driver-version.full": "580.159.04", **OLDER}, OLDER, None),
    ],
)
def test_what_kubectl_says(text: str) -> None:
    assert fleet.read(text, TABLE) == NODES


def test_one_node_alone() -> None:
    node = {"kind": "Node", "metadata": {"name": "gpu-a", "labels": {fleet.LABEL: "580.159.04"}}}
    assert fleet.read(json.dumps(node), TABLE) == NODES[:1]
    with pytest.raises(VersionError, match="this JSON is no list of nodes"):
        fleet.read(json.dumps({**node, "kind": "Pod"}), TABLE)


def test_closed_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert main.main(["compat", "--fleet", "-"], ROOT) == 2
    assert "standard input is closed" in capsys.readouterr().err


def test_lines() -> None:
    assert fleet.read("# ours\n gpu-a  v580.159.04\r\n\ngpu-b\t595.71.05", TABLE) == NODES[:2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no driver in these 0 nodes"),
        (listed(None, {}), "no driver in these 2 nodes"),
        ("gpu-a\n", "line 1: 1 words"),
        (
            "gpu-a 580.159.04\ngpu-b 535.54.3\n",
            r"line 2: '535.54.3' is no driver version; did you mean 535.54.03\?",
        ),
        ("NAME  STATUS\ngpu-a  Ready\n", "line 1: no column CUDA.DRIVER-VERSION.FULL"),
        ("{", "this JSON is no list of nodes"),
        ('{"items": [{"name": "gpu-a"}]}', "this JSON is no list of nodes"),
        (
            '{"items": [{"metadata": {"name": "a", "labels": [1]}}]}',
            "this JSON is no list of nodes",
        ),
        (
            (
                '{"items": [{"metadata": {"name": "a", "labels":'
                ' {"nvidia.com/cuda.driver-version.full": 5}}}]}'
            ),
            "node a: '5' is no driver",
        ),
        ("a\x1b[2J 580", r"line 1: '580' is no driver version"),
        ("[" * 200_000, "this JSON is no list of nodes"),
        ('{"items": 1}', "this JSON is no list of nodes"),
        (
            listed({"nvidia.com/cuda.driver-version.full": "latest"}),
            "node gpu-a: 'latest' is no driver version",
        ),
    ],
)
def test_what_is_no_fleet(text: str, words: str) -> None:
    with pytest.raises(VersionError, match=words):
        fleet.read(text, TABLE)


def test_nodes_that_would_break(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nodes").write_text(COLUMNS)
    assert main.main(["compat", "--fleet", str(tmp_path / "nodes"), "--json"], ROOT) == 7
    data = json.loads(capsys.readouterr().out)
    assert (data["breaks"], data["no_driver_label"], data["served"]) == (
        ["gpu-b"],
        ["cpu-a"],
        False,
    )
    assert [each["answer"] for each in data["nodes"]] == ["supported", "known", "no driver label"]


def test_what_is_allowed_is_told_and_not_refused() -> None:
    row = TABLE.get("20260622.0")
    assert row
    allowed = Pinned(row.name, ("580.159.04", "595.71.05"), {"595.71.05": "drained until March"})
    found = compat.fleet(NODES, row, TABLE, allowed)
    assert (found.error, found.data["breaks"], found.data["allowed"]) == (
        "",
        [],
        {"gpu-b": "drained until March"},
    )
    assert "allowed    gpu-b  595.71.05  drained until March" in found.text
    assert (
        "1 served, 0 would break, 1 allowed not to be served, 1 without a driver label"
        in found.text
    )
    machine = compat.node("595.71.05", "a test", row, TABLE, allowed)
    assert (machine.error, machine.data["allowed"]) == ("", "drained until March")
    bare = Pinned(row.name, allowed.fleet)
    assert compat.fleet(NODES, row, TABLE, bare).error
    assert compat.node("595.71.05", "a test", row, TABLE, bare).error


def test_nodes_that_would_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(COLUMNS.replace("595.71.05", "610.57.04")))
    assert main.main(["compat", "--fleet", "-", "--release", "20260817.0"], ROOT) == 0
    out = capsys.readouterr().out
    assert "2 served, 0 would break, 1 without a driver label" in out
    assert "cpu-a  no driver label" in out


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["compat", "--fleet", "/no/such/file"], ROOT) == 2
    assert "/no/such/file: No such file or directory" in capsys.readouterr().err
