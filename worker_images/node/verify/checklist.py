"""The requirements' checklist: its rows, and their results from the tests that replace them."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from worker_images.model.drivers.table import Table
from worker_images.model.results import FAILED, NOT_RUN, PASSED, Check, Result
from worker_images.node.explain import diagnose

FILE = Path(__file__).parent / "checklist.json"
# Of a check in the requirements: it decides; it can pass on a broken system; it checks something
# else; the requirements have no check.
ASSESSMENTS = ("right", "weak", "wrong", "absent")


@dataclass(frozen=True)
class Row:
    """One check: the requirements' own, verbatim, with its assessment and why; then ours.

    The result comes from tests. `step` is the next step after a failure, `needs` an option that
    the check requires.
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
    needs: str = ""


@dataclass(frozen=True)
class Results:
    """The results of the tests.

    `missing` has the reasons of suites that cannot test this image here, `incomplete` those of
    suites that started and did not finish.
    """

    checks: Sequence[Check]
    missing: Mapping[str, str]
    incomplete: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A row and its result; `selected` is false if no option selects it."""

    row: Row
    result: Result
    selected: bool = True


@dataclass(frozen=True)
class Checklist:
    """All entries, the image, and the reasons of suites that could not run."""

    entries: tuple[Entry, ...]
    image: str
    missing: Mapping[str, str]

    @property
    def counts(self) -> Counter[str]:
        """Selected rows by outcome."""
        return Counter(entry.result.outcome for entry in self.entries if entry.selected)

    @property
    def passed(self) -> bool:
        """Report if rows were selected and all of them passed."""
        return set(self.counts) == {PASSED}

    @property
    def summary(self) -> str:
        """The result in one line."""
        answer = "Yes" if self.passed else "No"
        total = self.counts.total()
        text = f"{answer}: {self.counts[PASSED]} of {total} checks passed"
        for outcome in (FAILED, NOT_RUN):
            if self.counts[outcome]:
                text += f", {self.counts[outcome]} {outcome}"
        unselected = len(self.entries) - total
        if unselected:
            text += f"; {unselected} not selected"
        return f"{text}."


def load() -> tuple[Row, ...]:
    """Return every row, in order."""
    rows = json.loads(FILE.read_text(encoding="utf-8"))
    return tuple(Row(**row | {"tests": tuple(row.get("tests", ()))}) for row in rows)


def suite_of(test: str) -> str:
    """Return the suite of a test: its folder below tests/."""
    return test.split("/")[1]


def without_suite(row: Row, name: str) -> Row:
    """A row without its tests of one suite."""
    return replace(row, tests=tuple(test for test in row.tests if suite_of(test) != name))


def join_results(row: Row, found: Results, drivers: Table) -> Result:
    """Return a row's result from the results of its tests.

    A failed test fails the row. One suite whose tests all passed is enough: it replaces a suite
    that cannot run here, but not one that did not finish. This machine does not replace a pod.
    """
    broken = [
        found.incomplete[name] for name in map(suite_of, row.tests) if name in found.incomplete
    ]
    if broken:
        return Result(NOT_RUN, reason=_unique(broken))
    results = {test: _worst(test, found) for test in row.tests}
    for test, result in results.items():
        if result.outcome == FAILED:
            return _failed(row, test, result, drivers)
    passed = _in_passed_suites(results)
    if not passed or (row.layer == "pod" and len(passed) < len(results)):
        return Result(NOT_RUN, reason=_unique(result.reason for result in results.values()))
    noun = "test" if len(passed) == 1 else "tests"
    seen = _unique(result.seen for result in passed)
    return Result(PASSED, seen or f"{len(passed)} {noun} passed")


def _unique(texts: Iterable[str]) -> str:
    """Join the texts without repetitions and empty ones."""
    return "; ".join(dict.fromkeys(filter(None, texts)))


def _in_passed_suites(results: Mapping[str, Result]) -> list[Result]:
    """Return the results of suites whose tests all passed."""
    suites: dict[str, list[Result]] = {}
    for test, result in results.items():
        suites.setdefault(suite_of(test), []).append(result)
    passed = []
    for group in suites.values():
        if all(result.outcome == PASSED for result in group):
            passed += group
    return passed


def _failed(row: Row, test: str, result: Result, drivers: Table) -> Result:
    """Return a failure with the known cause in runsc's messages, or with the test's reason."""
    for cause in diagnose.explain(result.reason, drivers):
        return Result(FAILED, test, cause.message, cause.step)
    first, _, _ = result.reason.partition("\n")
    reason = first.removeprefix("AssertionError: ")
    return Result(FAILED, test, reason, row.step)


def _worst(test: str, found: Results) -> Result:
    """Return the worst result of a test's parameters."""
    reason = found.missing.get(suite_of(test))
    if reason:
        return Result(NOT_RUN, reason=reason)
    results = [check.result for check in found.checks if check.test == test]
    for outcome in (FAILED, NOT_RUN, PASSED):
        for result in results:
            if result.outcome == outcome:
                return result
    return Result(NOT_RUN, reason=f"no result of {test}")
