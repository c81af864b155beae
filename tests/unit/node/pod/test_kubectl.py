"""A pod is found by its name or owner, and one that is not there is an error with its reason."""

from pathlib import Path
from typing import Any

import pytest

from tests.support import fake_worker
from tests.support.answers import error, pod, write
from worker_images.node.place import PlaceError
from worker_images.node.pod import kubectl
from worker_images.node.pod.kubectl import ForbiddenError, NotFoundError


def deploy(answers: Path, *pods: dict[str, Any]) -> None:
    """Write a Deployment with its replica set, another replica set, and pods."""
    labels = {"matchLabels": {"app": "worker"}}
    owner = {"kind": "Deployment", "metadata": {"uid": "slim"}, "spec": {"selector": labels}}
    write(answers, owner, "deployment-slim")
    sets = [
        {"metadata": {"uid": uid, "ownerReferences": [{"uid": owner, "controller": True}]}}
        for uid, owner in (("set", "slim"), ("other", "full"))
    ]
    write(answers, {"items": sets}, "replicasets")
    write(answers, {"items": [*pods]}, "pods")


def test_pod_is_found_with_its_container(answers: Path) -> None:
    found = fake_worker.pod()
    other = {"limits": {"nvidia.com/hostdev": "1"}}
    found["spec"]["containers"].insert(0, {"name": "proxy", "resources": other})
    write(answers, found)
    named, read = kubectl.find(pod(answers))
    assert (named.name, named.container, read) == ("worker", "worker", found)
    assert named.shell[1:] == [
        *("--context=lab", "--namespace=gpu", "exec", "--stdin", "worker"),
        *("--container=worker", "--", "/bin/sh"),
    ]


def test_container_that_the_pod_lacks_is_an_error(answers: Path) -> None:
    write(answers, fake_worker.pod())
    with pytest.raises(PlaceError, match="pod worker has no container app; it has: worker"):
        kubectl.find(pod(answers, container="app"))


def test_owner_is_resolved_to_its_running_pod(answers: Path) -> None:
    ended = fake_worker.pod() | {"status": {"phase": "Failed"}}
    ended["metadata"] |= {"name": "old", "creationTimestamp": "2026-11-26T00:00:00Z"}
    running = fake_worker.pod()
    for each in (ended, running):
        each["metadata"]["ownerReferences"] = [{"uid": "set", "controller": True}]
    deploy(answers, ended, running)
    assert kubectl.find(pod(answers, "deployment/slim"))[0].name == "worker"


def test_pod_is_found_by_the_name_that_kubectl_prints(answers: Path) -> None:
    write(answers, fake_worker.pod())
    assert kubectl.find(pod(answers, "pod/worker"))[0].name == "worker"


@pytest.mark.parametrize(
    "owner",
    [
        {},
        {"spec": {}},
        {"spec": {"selector": {"app": "worker"}}},
        {"spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}},
    ],
)
def test_owner_that_does_not_select_by_labels_is_an_error(
    owner: dict[str, Any], answers: Path
) -> None:
    """Every pod of the namespace would match, and another pod would pass."""
    write(answers, owner, "service-x")
    write(answers, {"items": [fake_worker.pod()]}, "pods")
    assert error(answers, "service/x") == (
        "service/x does not select its pods by labels alone; name a pod"
    )


def test_misspelt_pod_is_an_error_with_the_next_step(answers: Path) -> None:
    found = error(answers, "wroker")
    assert 'Error from server (NotFound): pods "wroker" not found' in found
    assert found.endswith("list the pods: kubectl --context=lab --namespace=gpu get pods")


def test_misspelt_namespace_is_named(answers: Path) -> None:
    (answers / "namespace.json").unlink()
    assert 'namespaces "gpu" not found' in error(answers)


def test_pods_that_the_cluster_refuses_have_the_reason_of_their_event(answers: Path) -> None:
    """The events of others are not the reason."""
    deploy(answers)
    message = 'pods "worker-" is forbidden: pod rejected: RuntimeClass "nvidia" not found'
    events = [
        {
            "message": f"(combined from similar events): {message}",
            "involvedObject": {"uid": "set"},
        },
        {"message": "another Deployment's", "involvedObject": {"uid": "other"}},
    ]
    write(answers, {"items": events}, "events")
    refused = f"the cluster refuses to create pods there: {message}"
    assert error(answers, "deployment/slim") == f"deployment/slim has no pod; {refused}"
    write(answers, {"items": events[1:]}, "events")
    found = error(answers, "deployment/slim")
    assert found.startswith("deployment/slim has no pod; list the pods: kubectl")


def test_stateful_set_owns_its_pods_itself(answers: Path) -> None:
    """It needs no right to read replica sets."""
    own = fake_worker.pod()
    own["metadata"]["ownerReferences"] = [{"uid": "set", "controller": True}]
    labels = {"matchLabels": {"app": "worker"}}
    owner = {"kind": "StatefulSet", "metadata": {"uid": "set"}, "spec": {"selector": labels}}
    write(answers, owner, "statefulset-slim")
    write(answers, {"items": [own]}, "pods")
    assert kubectl.find(pod(answers, "statefulset/slim"))[0].name == "worker"


@pytest.mark.parametrize(
    "references",
    [
        [],
        [{"uid": "other", "controller": True}],
        [{"uid": "set"}],
    ],
)
def test_pod_of_another_owner_is_not_the_owners(
    references: list[dict[str, Any]], answers: Path
) -> None:
    """Its labels may be the same."""
    other = fake_worker.pod()
    other["metadata"]["ownerReferences"] = references
    deploy(answers, other)
    assert "deployment/slim has no pod" in error(answers, "deployment/slim")


def test_texts_of_the_cluster_are_escaped(answers: Path) -> None:
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "\x1b[2Jgone"}}
    status = {"containerStatuses": [{"name": "worker", "state": waiting}]}
    write(answers, fake_worker.pod() | {"status": status})
    assert "ErrImagePull: \\u001b[2Jgone" in error(answers)
    (answers / "pod.json").unlink()
    (answers / "pod.error").write_text("error: \x1b[2Jgone")
    assert "error: \\u001b[2Jgone" in error(answers)


@pytest.mark.parametrize(
    ("message", "kind", "step"),
    [
        ('error: context "lab" does not exist', PlaceError, "list the contexts: "),
        ('Error from server (Forbidden): runtimeclasses "x" is', ForbiddenError, "may read it"),
        ('Error from server (NotFound): runtimeclasses "x" not', NotFoundError, "check the name"),
        ("The connection to the server x was refused", PlaceError, "check the cluster"),
    ],
)
def test_error_of_kubectl_has_a_next_step(
    message: str, kind: type[PlaceError], step: str, answers: Path
) -> None:
    (answers / "runtimeclass.error").write_text(message)
    with pytest.raises(kind) as found:
        pod(answers).get("runtimeclass", "x")
    assert type(found.value) is kind
    assert str(found.value).startswith(f"kubectl get runtimeclass x: {message}; ")
    assert step in str(found.value)


def test_output_that_is_not_json_is_an_error(answers: Path) -> None:
    (answers / "pod.json").write_text("{")
    assert "kubectl get pod worker printed invalid JSON" in error(answers)


def test_missing_kubectl_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlaceError, match="No such file"):
        kubectl.find(pod(tmp_path))
