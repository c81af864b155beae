"""Starts are measured in turns, and a page cache that is not cold is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from worker_images.node.measure import page_cache, starts
from worker_images.node.measure.starts import COLD, WARM, Case
from worker_images.node.place import CommandResult, PlaceError

Logged = list[str]


def side(order: list[str], name: str, seconds: float = 1.0) -> Callable[[], CommandResult]:
    """Return a side that takes so many seconds, and that writes down its name."""

    def run() -> CommandResult:
        order.append(name)
        return CommandResult(0, json.dumps({"seconds": seconds}), "")

    return run


def broken() -> CommandResult:
    """A side that does not start."""
    return CommandResult(1, "", "too many open files")


def test_sides_take_turns() -> None:
    """Each side of a warm case starts once before the rounds."""
    order: list[str] = []
    case = Case("torch", WARM, {"node": side(order, "n"), "sandbox": side(order, "s", 2.0)})
    (found,) = starts.measure([case], 3, 100.0, lambda _: None)
    assert "".join(order) == "ns" + "ns" + "sn" + "ns"
    assert (found.count, found.ratio("sandbox", "inside")) == (3, 2.0)


def test_side_that_does_not_start_is_left_out() -> None:
    log: Logged = []
    sides = {"node": side([], "n"), "dcache": broken}
    cases = [Case("torch", WARM, sides), Case("other", WARM, {"node": side([], "n")})]
    found = starts.measure(cases, 1, 100.0, log.append)
    assert log[0] == "left out: torch, dcache: too many open files"
    assert [list(each.starts) for each in found] == [["node"], ["node"]]


def test_case_that_fails_in_a_round_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other cases keep their results."""
    monkeypatch.setattr(page_cache, "empty", lambda _: "a test")
    log: Logged = []
    cases = [Case("torch", COLD, {"dcache": broken}), Case("read", WARM, {"node": side([], "n")})]
    found = starts.measure(cases, 2, 100.0, log.append)
    assert "not run: torch, dcache: too many open files" in log
    assert [(each.case.name, each.count) for each in found] == [("read", 2)]


def test_side_that_the_case_needs_must_start() -> None:
    """Without a sandbox there is nothing to compare with the node."""
    case = Case("torch", WARM, {"node": side([], "n"), "sandbox": broken}, needed=("sandbox",))
    with pytest.raises(PlaceError, match="torch, sandbox: too many open files"):
        starts.measure([case], 1, 100.0, lambda _: None)


def test_no_round_begins_after_the_limit() -> None:
    case = Case("torch", WARM, {"node": side([], "n")})
    assert starts.measure([case], 1, -1.0, lambda _: None) == []


@pytest.mark.parametrize(("resident", "refused"), [(0.0, False), (0.05, False), (0.06, True)])
def test_cold_start_needs_files_out_of_memory(
    resident: float, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "empty", lambda _: "a test")
    monkeypatch.setattr(page_cache, "resident", lambda _: resident)
    case = Case("torch", COLD, {"node": side([], "n")}, (Path("/torch"),))
    log: Logged = []
    found = starts.measure([case], 1, 100.0, log.append)
    assert [each.starts["node"][0].resident for each in found] == ([] if refused else [resident])
    assert ("6% of its files are still in memory after a test" in log[0]) is refused


def test_table_and_json_have_median_spread_and_ratio() -> None:
    seconds = iter((9.0, 1.0, 3.0, 2.0))
    case = Case(
        "torch",
        WARM,
        {"node": lambda: CommandResult(0, json.dumps({"seconds": next(seconds)}), "")},
    )
    found = starts.measure([case], 3, 100.0, lambda _: None)
    line = starts.text(found).splitlines()[1].split()
    assert line[:8] == ["torch", "warm", "node", "3", "2.000", "1.000", "3.000", "1.00"]
    (row,) = json.loads(starts.as_json(found))["starts"]
    assert (row["side"], row["inside"], row["ratio"]) == ("node", [1.0, 3.0, 2.0], 1.0)


def test_program_without_output_has_only_the_whole_time() -> None:
    case = Case("true", WARM, {"sandbox": lambda: CommandResult(0, "", "")})
    (found,) = starts.measure([case], 1, 100.0, lambda _: None)
    (start,) = found.starts["sandbox"]
    assert start.inside == start.whole > 0
