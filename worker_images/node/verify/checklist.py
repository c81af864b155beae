"""The requirements' checklist: its rows, and their results by the tests that replace them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
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
class Entry:
    """A row and its result; `selected` says whether an option selects it."""

    row: Row
    result: Result
    selected: bool = True


@dataclass(frozen=True)
class Checklist:
    """All entries, of which image."""

    entries: tuple[Entry, ...]
    image: str

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
        counts = self.counts
        parts = [f"{counts[PASSED]} of {counts.total()} checks passed"]
        parts += [f"{counts[each]} {each}" for each in (FAILED, NOT_RUN) if counts[each]]
        rest = len(self.entries) - counts.total()
        end = f"; {rest} not selected." if rest else "."
        return f"{'Yes' if self.passed else 'No'}: {', '.join(parts)}{end}"


def load() -> tuple[Row, ...]:
    """Every row, in order."""
    rows = json.loads(FILE.read_text(encoding="utf-8"))
    return tuple(Row(**row | {"tests": tuple(row.get("tests", ()))}) for row in rows)


def suite_of(test: str) -> str:
    """The suite of a test: the folder of tests/ that holds it."""
    return test.split("/")[1]


def joined(row: Row, checks: Sequence[Check], missing: Mapping[str, str], drivers: Table) -> Result:
    """A row's result by its tests; `missing` says of each suite without results why.

    A failed test fails the row. A suite whose tests all passed is enough: where one cannot run,
    another may.
    """
    found = {test: _result(test, checks, missing) for test in row.tests}
    outcomes: dict[str, set[str]] = {}
    for test, result in found.items():
        outcomes.setdefault(suite_of(test), set()).add(result.outcome)
        if result.outcome == FAILED:
            return _failed(row, test, result, drivers)
    if {PASSED} not in outcomes.values():
        reasons = [result.reason for result in found.values() if result.outcome == NOT_RUN]
        return Result(NOT_RUN, reason="; ".join(dict.fromkeys(reasons)))
    passed = [test for test in found if outcomes[suite_of(test)] == {PASSED}]
    seen = [found[test].seen for test in passed if found[test].seen]
    count = f"{len(passed)} {'test' if len(passed) == 1 else 'tests'} passed"
    return Result(PASSED, "; ".join(dict.fromkeys(seen)) or count)


def _failed(row: Row, test: str, result: Result, drivers: Table) -> Result:
    """By the reason in runsc's own messages, where one is known."""
    for known in cause.explain(result.reason, drivers):
        return Result(FAILED, test, known.words, known.step)
    reason = result.reason.partition("\n")[0].removeprefix("AssertionError: ")
    return Result(FAILED, test, reason, row.step)


def _result(test: str, checks: Sequence[Check], missing: Mapping[str, str]) -> Result:
    """The worst result of a test's parameters."""
    suite = suite_of(test)
    if suite in missing:
        return Result(NOT_RUN, reason=missing[suite])
    found = {check.result.outcome: check.result for check in checks if check.test == test}
    for outcome in (FAILED, NOT_RUN, PASSED):
        if outcome in found:
            return found[outcome]
    return Result(NOT_RUN, reason=f"no result of {test}")
