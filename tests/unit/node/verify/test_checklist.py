"""A row's result is computed from the results of its tests."""

from dataclasses import replace

import pytest

from worker_images.files import ROOT
from worker_images.model.drivers import table
from worker_images.model.results import FAILED, NOT_RUN, PASSED, Check, Result
from worker_images.node.verify import checklist
from worker_images.node.verify.checklist import Checklist, Entry, Results, Row, join_results

IMAGE, BOTH = "tests/image/test_a.py::test_one", "tests/image/test_a.py::test_two"
NODE = "tests/workload/test_b.py::test_three"
DRIVERS = table.read(ROOT / table.DRIVERS)
OK = Result(PASSED, "what it saw")


def row(*tests: str) -> Row:
    return Row("image", "s", "", "absent", "", "a check", "", step="do this", tests=tests)


def join(tests: tuple[str, ...], results: dict[str, Result], **missing: str) -> Result:
    checks = [Check(identity, result) for identity, result in results.items()]
    return join_results(row(*tests), Results(checks, missing), DRIVERS)


def test_row_passes_when_all_its_tests_passed() -> None:
    assert join((IMAGE, BOTH), {IMAGE: OK, BOTH: Result(PASSED)}) == OK


def test_row_counts_its_tests_when_they_recorded_nothing() -> None:
    passed = Result(PASSED)
    assert join((IMAGE, BOTH), {IMAGE: passed, BOTH: passed}).seen == "2 tests passed"


def test_row_fails_when_one_test_failed() -> None:
    bad = Result(FAILED, reason="AssertionError: 1 is not 2\nassert 1 == 2")
    found = join((IMAGE, NODE), {IMAGE: bad, NODE: OK})
    assert found == Result(FAILED, IMAGE, "1 is not 2", "do this")


def test_row_fails_with_the_cause_in_messages_of_runsc() -> None:
    line = "registering nvproxy driver: unsupported Nvidia driver version: 550.54.14"
    found = join((NODE,), {NODE: Result(FAILED, reason=f"assert 1 == 0\n{line}")})
    assert found.reason == "this runsc does not serve the node's driver 550.54.14"


def test_row_is_not_run_when_a_test_is_not_run() -> None:
    skipped = Result(NOT_RUN, reason="no engine")
    found = join((IMAGE, BOTH), {IMAGE: OK, BOTH: skipped})
    assert found == Result(NOT_RUN, reason="no engine")


def test_row_passes_by_one_suite_when_another_cannot_run() -> None:
    assert join((IMAGE, NODE), {NODE: OK}, image="no engine") == OK


def test_row_of_a_pod_is_not_replaced_by_this_machine() -> None:
    """With --context and --node, the machine may be another one than the pod's."""
    pod = "tests/pod/test_a.py::test_one"
    tests = replace(row(pod, NODE), layer="pod")
    passed = Check(NODE, OK)
    skipped = Check(pod, Result(NOT_RUN, reason="a stand-in has no driver behind it"))
    found = join_results(tests, Results([passed, skipped], {}), DRIVERS)
    assert found == Result(NOT_RUN, reason="a stand-in has no driver behind it")
    found = join_results(tests, Results([passed], {"pod": "no folder"}), DRIVERS)
    assert found == Result(NOT_RUN, reason="no folder")
    found = join_results(tests, Results([passed, Check(pod, OK)], {}), DRIVERS)
    assert found == OK


def test_row_is_not_run_with_every_reason_when_no_suite_can_run() -> None:
    found = join((IMAGE, NODE), {}, image="no engine", workload="no root")
    assert found == Result(NOT_RUN, reason="no engine; no root")


def test_row_is_not_run_when_its_test_has_no_result() -> None:
    assert join((IMAGE,), {BOTH: OK}).reason == f"no result of {IMAGE}"


@pytest.mark.parametrize("worst", [FAILED, NOT_RUN])
def test_test_has_the_worst_result_of_its_parameters(worst: str) -> None:
    results = {f"{IMAGE}[a]": OK, f"{IMAGE}[b]": Result(worst, reason="why"), f"{IMAGE}[c]": OK}
    assert join((IMAGE,), results).outcome == worst


def checklist_of(*outcomes: str, unselected: int = 0) -> Checklist:
    entries = [Entry(row(), Result(outcome)) for outcome in outcomes]
    rest = [Entry(row(), Result(NOT_RUN), selected=False)] * unselected
    return Checklist((*entries, *rest), "", {})


@pytest.mark.parametrize(
    ("checklist_", "summary"),
    [
        (checklist_of(PASSED, unselected=2), "Yes: 1 of 1 checks passed; 2 not selected."),
        (checklist_of(PASSED, PASSED), "Yes: 2 of 2 checks passed."),
        (checklist_of(PASSED, FAILED), "No: 1 of 2 checks passed, 1 failed."),
        (checklist_of(PASSED, NOT_RUN), "No: 1 of 2 checks passed, 1 not run."),
        (checklist_of(unselected=1), "No: 0 of 0 checks passed; 1 not selected."),
    ],
)
def test_summary_is_yes_only_when_every_selected_row_passed(
    checklist_: Checklist, summary: str
) -> None:
    assert checklist_.summary == summary
    assert checklist_.passed is summary.startswith("Yes")


def test_every_row_has_tests() -> None:
    rows = checklist.load()
    assert [each.check for each in rows if not each.tests] == []
    assert {each.assessment for each in rows} == set(checklist.ASSESSMENTS)
    assert len({each.check for each in rows}) == len(rows)


def test_suite_that_did_not_finish_is_not_replaced_by_another() -> None:
    """A crash is not the same as a suite that cannot run here."""
    tests = ("tests/image/test_a.py::test_a", "tests/workload/test_b.py::test_b")
    checks = [Check(tests[0], Result(PASSED))]
    crashed = Results(checks, {}, {"workload": "pytest exited with -9: Killed"})
    result = join_results(row(*tests), crashed, DRIVERS)
    assert (result.outcome, result.reason) == (NOT_RUN, "pytest exited with -9: Killed")
    absent = Results(checks, {"workload": "only in a checkout"})
    assert join_results(row(*tests), absent, DRIVERS).outcome == PASSED
