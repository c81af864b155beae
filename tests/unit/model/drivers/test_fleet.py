"""A fleet's nodes in every accepted format, and the nodes that a release would break."""

import contextlib
import io
import json
from pathlib import Path

import pytest
from hypothesis import given

from tests.support.drivers import TABLE
from tests.support.hostile import TEXTS, bounded, changed
from tests.support.timing import growth
from worker_images.cli import main
from worker_images.files import ROOT
from worker_images.model.drivers import compat, fleet, fleet_compat
from worker_images.model.drivers.compat import Pinned
from worker_images.model.drivers.fleet import Node
from worker_images.model.drivers.kernel import Machine
from worker_images.model.drivers.version import VersionError

NODES = (Node("gpu-a", "580.159.04"), Node("gpu-b", "595.71.05"), Node("cpu-a", ""))


# Output of kubectl get nodes -L nvidia.com/cuda.driver-version.full.
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
    """Output of kubectl get nodes -o json."""
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
def test_output_of_kubectl_is_read(text: str) -> None:
    assert fleet.read(text, TABLE) == NODES


def test_json_of_a_single_node_is_read() -> None:
    node = {"kind": "Node", "metadata": {"name": "gpu-a", "labels": {fleet.LABEL: "580.159.04"}}}
    assert fleet.read(json.dumps(node), TABLE) == NODES[:1]
    with pytest.raises(VersionError, match="the JSON is not a list of nodes"):
        fleet.read(json.dumps({**node, "kind": "Pod"}), TABLE)


def test_closed_standard_input_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert main.main(["compat", "--fleet", "-"], ROOT) == 2
    assert "standard input is closed" in capsys.readouterr().err


def test_lines_are_read_with_comments_blanks_and_prefixes() -> None:
    assert fleet.read("# ours\n gpu-a  v580.159.04\r\n\ngpu-b\t595.71.05", TABLE) == NODES[:2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "none of these 0 nodes has a driver"),
        (listed(None, {}), "none of these 2 nodes has a driver"),
        ("gpu-a\n", "line 1: 1 field;"),
        (
            "NAME  STATUS\ngpu-a  Ready\n",
            "line 1: column CUDA.DRIVER-VERSION.FULL is missing",
        ),
        ("{", "the JSON is not a list of nodes"),
        ('{"items": [{"name": "gpu-a"}]}', "the JSON is not a list of nodes"),
        (
            '{"items": [{"metadata": {"name": "a", "labels": [1]}}]}',
            "the JSON is not a list of nodes",
        ),
        (
            (
                '{"items": [{"metadata": {"name": "a", "labels":'
                ' {"nvidia.com/cuda.driver-version.full": 5}}}]}'
            ),
            "node a: label nvidia.com/cuda.driver-version.full is not a string",
        ),
        ("[" * 200_000, "the JSON is not a list of nodes .nested deeper than 64 levels"),
        ('{"items": [], "items": []}', "the JSON is not a list of nodes .duplicate key items"),
        ('{"items": [], "Items": []}', "the JSON is not a list of nodes .keys items and Items"),
        ('{"items": ["\\ud800"]}', "the JSON is not a list of nodes .an unpaired surrogate"),
        ('[{"metadata": {"name": 1}}]', "the JSON is not a list of nodes"),
        ('[{"metadata": {"name": ""}}]', "node : a node's name has 1 to 253 characters"),
        ("a" * 254 + " 580.159.04", "line 1: a node's name has 1 to 253 characters"),
        ('[{"metadata": {"name": "a", "labels": "b"}}]', "the JSON is not a list of nodes"),
        ('[{"metadata": []}]', "the JSON is not a list of nodes"),
        ("[null]", "the JSON is not a list of nodes"),
        ('{"items": 1}', "the JSON is not a list of nodes"),
    ],
)
def test_invalid_nodes_are_an_error(text: str, message: str) -> None:
    with pytest.raises(VersionError, match=message):
        fleet.read(text, TABLE)


def test_file_longer_than_the_limit_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fleet, "MAX_BYTES", 1 << 20)
    assert main.main(["compat", "--fleet", "/dev/zero"], ROOT) == 2
    assert "/dev/zero: longer than 1 MiB; use" in capsys.readouterr().err


def test_name_that_controls_a_terminal_is_shown_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    escaped = r"gpu\u001b[2J"
    rows = [{"metadata": {"name": "gpu\x1b[2J", "labels": {fleet.LABEL: "595.71.05"}}}]
    for text in (json.dumps(rows), "gpu\x1b[2J 595.71.05\n"):
        (tmp_path / "nodes").write_text(text)
        assert main.main(["compat", "--fleet", str(tmp_path / "nodes")], ROOT) == 7
        assert f"breaks     {escaped}  595.71.05" in capsys.readouterr().out
        assert fleet.read(text, TABLE) == (Node(escaped, "595.71.05"),)
        (odd,) = fleet.read(text.replace("595.71.05", "5"), TABLE)
        assert odd.name == escaped
        assert odd.problem.startswith("'5' is not a driver version")


@bounded
@given(changed(json.loads(listed({fleet.LABEL: "580.159.04"}, OLDER))), TEXTS)
def test_any_list_of_nodes_is_read_or_refused(value: object, line: str) -> None:
    for text in (json.dumps(value), f"{line} 580.159.04", f"{COLUMNS}{line}"):
        with contextlib.suppress(VersionError):
            assert all(each.name.isprintable() for each in fleet.read(text, TABLE))


def test_answer_for_many_nodes_takes_the_time_of_their_drivers() -> None:
    row = TABLE.get("20260622.0")
    assert row
    pinned = Pinned(row.name, ("580.159.04",))

    def answer(count: int) -> None:
        nodes = [Node(f"n{number}", "595.71.05") for number in range(count)]
        assert fleet_compat.check(nodes, row, TABLE, pinned).error

    # Advice for a driver takes the time of a hundred nodes, and is given once.
    assert growth(answer, 10, limit=1.5) < 1.5


def test_unserved_nodes_break(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nodes").write_text(COLUMNS)
    assert main.main(["compat", "--fleet", str(tmp_path / "nodes"), "--json"], ROOT) == 7
    data = json.loads(capsys.readouterr().out)
    assert (data["breaks"], data["no_driver_label"], data["served"]) == (
        ["gpu-b"],
        ["cpu-a"],
        False,
    )
    assert [each["answer"] for each in data["nodes"]] == ["supported", "known", "no driver label"]


def test_allowed_nodes_are_listed_and_do_not_break() -> None:
    row = TABLE.get("20260622.0")
    assert row
    allowed = Pinned(row.name, ("580.159.04", "595.71.05"), {"595.71.05": "drained until March"})
    found = fleet_compat.check(NODES, row, TABLE, allowed)
    assert (found.error, found.data["breaks"], found.data["allowed"]) == (
        "",
        [],
        {"gpu-b": "drained until March"},
    )
    assert "allowed    gpu-b  595.71.05  drained until March" in found.text
    assert (
        "1 served, 0 would break, 1 allowed to be unserved, 1 without a driver label" in found.text
    )
    machine = compat.node(Machine("595.71.05", "a test"), row, TABLE, allowed)
    assert (machine.error, machine.data["allowed"]) == ("", "drained until March")
    bare = Pinned(row.name, allowed.fleet)
    assert fleet_compat.check(NODES, row, TABLE, bare).error
    assert compat.node(Machine("595.71.05", "a test"), row, TABLE, bare).error


def test_served_nodes_do_not_break(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(COLUMNS.replace("595.71.05", "610.57.04")))
    assert main.main(["compat", "--fleet", "-", "--release", "20260817.0"], ROOT) == 0
    out = capsys.readouterr().out
    assert "2 served, 0 would break, 1 without a driver label" in out
    assert "cpu-a  no driver label" in out


def test_missing_file_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["compat", "--fleet", "/no/such/file"], ROOT) == 2
    assert "/no/such/file: No such file or directory" in capsys.readouterr().err
