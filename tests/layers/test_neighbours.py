"""Do two workers with one GPU each see only their own?"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.layers.conftest import Deploy
from tests.layers.worker import Worker
from tests.support.kubernetes import Kubectl
from worker_images.harness.options import Seen, not_run
from worker_images.model import results
from worker_images.node.measure.metrics import NO_GPU, ONE_GPU
from worker_images.node.node import Node

CHECK = "tests/workload/test_several_gpus.py::test_pod_reaches_no_gpu_of_another_pod"
UUID = re.compile("GPU-[0-9a-f-]{36}")


@pytest.fixture(scope="module")
def workers(
    deploy: Deploy, kubectl: Kubectl, machine: Node, pytestconfig: pytest.Config
) -> Iterator[tuple[Worker, Worker]]:
    """Two workers at the same time: full as root, and slim as user 1000."""
    if len(machine.gpus) < 2:
        not_run(pytestconfig, "gpus", ONE_GPU if machine.gpus else NO_GPU)
    first, second = deploy("full"), deploy("slim")
    first.wait()
    second.wait()
    yield first, second
    kubectl("delete", first.name, second.name, "--cascade=foreground")


def test_two_workers_see_different_gpus_and_reach_no_other(
    workers: tuple[Worker, Worker], tmp_path: Path, seen: Seen
) -> None:
    """Neither a sandbox nor its pod opens the other's GPU, also if it makes the node."""
    texts = [own_gpu(worker, tmp_path) for worker in workers]
    seen("; ".join(texts))
    uuids = [UUID.findall(text) for text in texts]
    assert [len(set(each)) for each in uuids] == [1, 1]
    assert uuids[0][0] != uuids[1][0]


def own_gpu(worker: Worker, folder: Path) -> str:
    """What the check of a worker saw; it must have passed."""
    report = folder / f"{worker.variant}.xml"
    found = worker.workload_check(CHECK, report)
    assert found.status == 0, found.output + found.errors
    (check,) = results.read(report).checks
    return check.result.seen
