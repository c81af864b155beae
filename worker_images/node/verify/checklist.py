"""The requirements' checklist: its rows, and their results by the tests that replace them."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.model.drivers.table import Table
from worker_images.model.results import FAILED, NOT_RUN, PASSED, Check, Result
from worker_images.node import cause

FILE = Path(__file__).parent / "checklist.json"
# Of a check in the requirements: it decides, it can pass for what is broken, it looks at something
# else, there is none.
ASSESSMENTS = ("right", "weak", "wrong", "absent")


@dataclass(frozen=True)
class Row:
    """One check: the requirements' own, verbatim, with its assessment and why; then ours.

    Either tests or a probe of the pod give the result. `step` is what to do where it failed,
    `needs` the option without which there is nothing to check.
    """

    layer: str
    section: str
    requirement: str
    assessment: str
    why: str
    check: str
    expected: str
    step: str = ""
    tests: tuple[str, ...] = ()
    probe: str = ""
    needs: str = ""


@dataclass(frozen=True)
class Results:
    """The results of the tests, and of each suite without results why."""

    checks: Sequence[Check]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Entry:
    """A row and its result; `selected` says whether an option selects it."""

    row: Row
    result: Result
    selected: bool = True


@dataclass(frozen=True)
class Checklist:
    """All entries, of which image, and why a suite could not run."""

    entries: tuple[Entry, ...]
    image: str
    missing: Mapping[str, str]

    @property
    def counts(self) -> Counter[str]:
        """Selected rows by outcome."""
        return Counter(entry.result.outcome for entry in self.entries if entry.selected)

    @property
    def passed(self) -> bool:
        """Whether rows were selected, and all of them passed."""
        return set(self.counts) == {PASSED}

    @property
    def verdict(self) -> str:
        """The answer in one line."""
        answer = "Yes" if self.passed else "No"
        total = self.counts.total()
        words = f"{answer}: {self.counts[PASSED]} of {total} checks passed"
        for outcome in (FAILED, NOT_RUN):
            if self.counts[outcome]:
                words += f", {self.counts[outcome]} {outcome}"
        rest = len(self.entries) - total
        if rest:
            words += f"; {rest} not selected"
        return f"{words}."


def load() -> tuple[Row, ...]:
    """Every row, in order."""
    rows = json.loads(FILE.read_text(encoding="utf-8"))
    return tuple(Row(**row | {"tests": tuple(row.get("tests", ()))}) for row in rows)


def suite_of(test: str) -> str:
    """The suite of a test: the folder of tests/ that holds it."""
    return test.split("/")[1]


def joined(row: Row, found: Results, drivers: Table) -> Result:
    """A row's result by its tests.

    A failed test fails the row. A suite whose tests all passed is enough: where one cannot run,
    another may.
    """
    results = {test: _result(test, found) for test in row.tests}
    for test, result in results.items():
        if result.outcome == FAILED:
            return _failed(row, test, result, drivers)
    passed = _of_passed_suites(results)
    if not passed:
        return Result(NOT_RUN, reason=_once(result.reason for result in results.values()))
    noun = "test" if len(passed) == 1 else "tests"
    seen = _once(result.seen for result in passed)
    return Result(PASSED, seen or f"{len(passed)} {noun} passed")


def _once(texts: Iterable[str]) -> str:
    """Each text once, without empty ones."""
    return "; ".join(dict.fromkeys(filter(None, texts)))


def _of_passed_suites(results: Mapping[str, Result]) -> list[Result]:
    """The results in each suite whose tests all passed."""
    suites: dict[str, list[Result]] = {}
    for test, result in results.items():
        suites.setdefault(suite_of(test), []).append(result)
    passed = []
    for own in suites.values():
        if all(result.outcome == PASSED for result in own):
            passed += own
    return passed


def _failed(row: Row, test: str, result: Result, drivers: Table) -> Result:
    """By the reason in runsc's own messages, where one is known."""
    for known in cause.explain(result.reason, drivers):
        return Result(FAILED, test, known.words, known.step)
    first, _, _ = result.reason.partition("\n")
    reason = first.removeprefix("AssertionError: ")
    return Result(FAILED, test, reason, row.step)


def _result(test: str, found: Results) -> Result:
    """The worst result of a test's parameters."""
    reason = found.missing.get(suite_of(test))
    if reason:
        return Result(NOT_RUN, reason=reason)
    own = [check.result for check in found.checks if check.test == test]
    for outcome in (FAILED, NOT_RUN, PASSED):
        for result in own:
            if result.outcome == outcome:
                return result
    return Result(NOT_RUN, reason=f"no result of {test}")
