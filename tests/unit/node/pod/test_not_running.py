"""A pod that does not run is an error, with the reason that the cluster shows."""

from pathlib import Path
from typing import Any

import pytest

from tests.support import fake_worker
from tests.support.answers import error, write


@pytest.mark.parametrize("state", ["state", "lastState"])
def test_init_container_that_refuses_the_node_is_quoted(state: str, answers: Path) -> None:
    ended = {"terminated": {"exitCode": 7, "message": "node1: driver 595.71.05 is not served\n"}}
    status = {"name": "check-driver", state: ended}
    found = fake_worker.pod() | {"status": {"phase": "Pending", "initContainerStatuses": [status]}}
    write(answers, found)
    assert error(answers) == (
        "pod worker: init container check-driver ended: node1: driver 595.71.05 is not served"
    )


SCHEDULED = {"type": "PodScheduled", "status": "False"}


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (
            {
                "phase": "Pending",
                "conditions": [
                    SCHEDULED
                    | {"message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."}
                ],
            },
            (
                "pod worker: Pending: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu.; its"
                " GPUs are in use or not advertised"
            ),
        ),
        (
            {
                "phase": "Pending",
                "conditions": [
                    SCHEDULED | {"message": "1 node(s) didn't match Pod's node affinity/selector."}
                ],
            },
            (
                "pod worker: Pending: 1 node(s) didn't match Pod's node affinity/selector.; no node"
                " has a label that the manifest requires"
            ),
        ),
        (
            {
                "phase": "Pending",
                "conditions": [
                    SCHEDULED | {"message": "1 node(s) didn't match pod anti-affinity rules."}
                ],
            },
            (
                "pod worker: Pending: 1 node(s) didn't match pod anti-affinity rules.; kubectl"
                " --context=lab --namespace=gpu describe pod worker"
            ),
        ),
        (
            {
                "phase": "Pending",
                "containerStatuses": [
                    {
                        "name": "worker",
                        "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}},
                    }
                ],
            },
            (
                "pod worker: ErrImagePull: not found; see: kubectl --context=lab --namespace=gpu"
                " describe pod worker"
            ),
        ),
        (
            {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "Allocate failed"},
            "pod worker: UnexpectedAdmissionError: Allocate failed",
        ),
    ],
)
def test_pod_that_does_not_run_has_the_reason_of_the_cluster(
    status: dict[str, Any], message: str, answers: Path
) -> None:
    write(answers, fake_worker.pod() | {"status": status})
    assert error(answers).startswith(message)


def test_pod_that_is_being_deleted_is_an_error(answers: Path) -> None:
    found = fake_worker.pod()
    found["metadata"]["deletionTimestamp"] = "2026-11-26T00:00:00Z"
    write(answers, found)
    assert error(answers) == "pod worker: it is being deleted; name another pod"
