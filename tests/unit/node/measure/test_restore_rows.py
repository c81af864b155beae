"""The figures of restores are kept as they are measured, and compared with their goals."""

import json
from pathlib import Path

import pytest

from worker_images.node.measure import restore_rows
from worker_images.node.measure.restore_rows import Report


def test_report_is_complete_after_each_figure(tmp_path: Path) -> None:
    report = Report(tmp_path / "results" / "restores-1b.json", {"model": "1b"})
    assert json.loads(report.path.read_text())["rows"] == []
    report.add("save_none", 3.0)
    report.add("save_none", 4.0)
    (row,) = json.loads(report.path.read_text())["rows"]
    assert (row["median"], row["values"], row["unit"]) == (3.5, [3.0, 4.0], "s")


@pytest.mark.parametrize(("restore", "kept"), [(2.5, True), (2.6, False)])
def test_restore_takes_at_most_a_twelfth_of_a_start(restore: float, kept: bool) -> None:
    rows = {"restore_background_warm": [restore], "start_sandbox_warm": [30.1], "size_none": [3.7]}
    (goal,) = restore_rows.goals(rows)
    assert goal["kept"] is kept
    assert goal["bar"] == "≤ 0.083"
    found = {"rows": [], "goals": [goal], "problems": ["x: y"]}
    assert ("MISSED" in restore_rows.text(found)) is not kept
    assert restore_rows.text(found).endswith("not measured: x: y")


@pytest.mark.parametrize(
    ("cache", "limit", "rows"),
    [
        ("warm", "GPU memory back on the node", {"node_on": [1.0]}),
        ("cold", "read of the checkpoint", {"read_cold": [2.0], "read_direct": [3.7]}),
    ],
)
@pytest.mark.parametrize(("start", "kept"), [(12.1, True), (11.9, False)])
def test_limit_shows_if_the_goal_can_be_reached(
    cache: str, limit: str, rows: dict[str, list[float]], start: float, kept: bool
) -> None:
    rows = rows | {f"start_sandbox_{cache}": [start], "size_none": [3.7]}
    (goal,) = restore_rows.goals(rows)
    name = f"{limit} : start in the sandbox, page cache {cache}"
    assert (goal["name"], goal["kept"]) == (name, kept)


def test_figures_without_the_size_of_a_checkpoint_have_no_read_of_it() -> None:
    """A checkpoint that failed may have left files that were read."""
    rows = {"read_cold": [1.5], "start_sandbox_cold": [20.0]}
    assert restore_rows.goals(rows) == []


@pytest.mark.parametrize(("restore", "kept"), [(6.0, True), (6.1, False)])
def test_large_state_is_restored_at_two_gigabytes_per_second(restore: float, kept: bool) -> None:
    rows = {"restore_background_cold": [restore], "start_sandbox_cold": [90.0], "size_none": [12.0]}
    (goal,) = restore_rows.goals(rows)
    assert (goal["name"], goal["kept"]) == ("restore, page cache cold, GB/s", kept)


def test_each_way_of_a_large_restore_has_its_goals() -> None:
    rows = {
        "node_on": [3.0],
        "restore_background_cold": [8.0],
        "restore_direct_cold": [6.0],
        "size_none": [12.0],
        "read_cold": [1.5],
        "read_direct": [2.0],
    }
    found = {each["name"]: (each["value"], each["kept"]) for each in restore_rows.goals(rows)}
    assert found == {
        "GPU memory back on the node, page cache warm, GB/s": (4.0, True),
        "restore, page cache cold, GB/s": (1.5, False),
        "restore --direct, page cache cold, GB/s": (2.0, True),
        "read of the checkpoint, page cache cold, GB/s": (2.0, True),
        "speed of restore : read of the checkpoint, page cache cold": (0.75, False),
        "speed of restore --direct : read of the checkpoint, page cache cold": (1.0, True),
    }
