"""Do all layers pass at once: the pod, CUDA in its runsc, and the requirements' checklist?"""

import json
from pathlib import Path

import pytest

from tests.layers.worker import Worker
from worker_images.harness.options import Seen, not_run
from worker_images.model import results as model
from worker_images.model.drivers.kernel import NO_DRIVER
from worker_images.model.results import FAILED, NOT_RUN, PASSED
from worker_images.node.place import CommandResult


def end(found: CommandResult) -> str:
    """The end of a command's output."""
    return f"{found.output[-6000:]}\n{found.errors[-3000:]}"


def test_pod_layer_passes(worker: Worker, results: Path, seen: Seen) -> None:
    """The RuntimeClass, the device plugin and the pod give runsc what it needs."""
    found = worker.pod_layer(results / "pod.xml")
    assert found.status == 0, end(found)
    run = model.read(results / "pod.xml")
    count = model.count(run.checks)
    seen(f"{count[PASSED]} passed, {count[NOT_RUN]} not run; {run.properties.get('machine', '')}")
    assert not worker.machine.driver or not count[NOT_RUN], run.with_outcome(NOT_RUN)


def test_workload_layer_passes_in_the_pod(worker: Worker, results: Path, seen: Seen) -> None:
    """torch, NCCL and CUDA run in the pod's runsc, and fail where they must."""
    found = worker.workload_layer(results)
    assert found.status == 0, end(found)
    count = model.count(model.read(results / "workload.xml").checks)
    seen(f"{count[PASSED]} passed, {count[NOT_RUN]} not run")
    assert count[PASSED] >= (35 if worker.machine.driver else 12)


def test_costs_of_the_sandbox_in_the_pod_keep_their_bars(
    worker: Worker, results: Path, seen: Seen, pytestconfig: pytest.Config
) -> None:
    """Matrix products, copies, launches, and the all-reduce of several GPUs."""
    measured = json.loads((results / "benchmark.json").read_text())["metrics"]
    if not worker.machine.driver:
        not_run(pytestconfig, "gpus", NO_DRIVER)
    seen("; ".join(f"{each['metric']['name']}: {each['ratio']:.3f}" for each in measured))
    assert [each["metric"]["name"] for each in measured if not each["kept"]] == []


def test_every_row_of_the_checklist_passes(
    worker: Worker, results: Path, seen: Seen, pytestconfig: pytest.Config
) -> None:
    """One report joins static, image, pod and workload; without a driver no row may fail."""
    report = results / "verify.json"
    report.unlink(missing_ok=True)
    found = worker.checklist(results)
    assert report.exists(), end(found)
    rows = json.loads(report.read_text())["rows"]
    outcomes = {row["check"]: row["outcome"] for row in rows}
    assert FAILED not in outcomes.values(), end(found)
    if not worker.machine.driver:
        not_run(pytestconfig, "gpus", NO_DRIVER)
    assert {check for check, outcome in outcomes.items() if outcome != PASSED} == set(), end(found)
    assert found.status == 0, end(found)
    seen(found.output.strip().splitlines()[-1])
