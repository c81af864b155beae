"""Does each fault of a pod, its cluster or its name fail for its own reason?"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.cluster import suite
from tests.cluster.suite import ONE_GPU, Check, Pod, container, start
from tests.support.kubernetes import Kubectl, worker_pod
from worker_images.cluster.cluster import Cluster, of_machine
from worker_images.cluster.settings import NODE
from worker_images.model.drivers.fleet import LABEL
from worker_images.model.gpus import GPU

NOT_SERVED = "550.54.14"
# Ends when a check makes its folder in the pod.
END_IN_A_CHECK = "until ls -d /tmp/tmp.* 2> /dev/null; do sleep 0.05; done; exit 1"
OTHER_NUMBERS = "rm /dev/nvidia-uvm; mknod /dev/nvidia-uvm c 510 1; exec sleep infinity"


def test_class_that_was_deleted_is_named(
    kubectl: Kubectl, pod: Pod, check: Check, runtime_class: Callable[[str], str]
) -> None:
    name = runtime_class("nvidia")
    pod["spec"]["runtimeClassName"] = name
    start(kubectl, pod)
    kubectl("delete", "runtimeclass", name)
    found = check()
    assert found.status == 1
    assert set(found.failed) == {"test_runtime_class_adds_the_driver"}
    (message,) = found.failed.values()
    assert message.startswith(f"RuntimeClass {name} does not exist any more: the cluster refuses")


def test_class_without_a_limit_is_named(kubectl: Kubectl, pod: Pod, check: Check) -> None:
    del container(pod)["resources"]
    start(kubectl, pod)
    failed = check().failed
    assert failed["test_container_requests_full_gpus"] == (
        "container worker requests no GPU; set resources.limits: nvidia.com/gpu: 1"
    )
    assert failed["test_devices_have_the_driver_numbers"].startswith("missing devices: nvidiactl")
    assert "test_runtime_class_adds_the_driver" not in failed


def test_limit_without_a_class_is_named(kubectl: Kubectl, pod: Pod, check: Check) -> None:
    del pod["spec"]["runtimeClassName"]
    start(kubectl, pod)
    failed = check().failed
    assert failed["test_runtime_class_adds_the_driver"] == (
        "the pod has no runtimeClassName, and no driver's files; set runtimeClassName: nvidia"
    )
    assert failed["test_driver_files_match_the_driver"].startswith("no libcuda and no libnvidia-ml")
    assert "test_container_requests_full_gpus" not in failed


def test_shares_of_one_gpu_are_not_several_gpus(
    kubectl: Kubectl, pod: Pod, check: Check, cluster: Cluster
) -> None:
    """NVIDIA's device plugin gives shares the name of GPUs by default."""
    container(pod)["resources"]["limits"][GPU] = 2
    cluster.hand_out(replace(ONE_GPU, replicas=2))
    try:
        start(kubectl, pod)
        failed = check().failed
        kubectl("delete", "pods", "--all", "--now")
    finally:
        cluster.hand_out(ONE_GPU)
    assert set(failed) == {"test_gpu_count_matches_the_limit"}
    assert (
        "1 in /dev; the limit is nvidia.com/gpu: 2: on a node that shares GPUs by time"
        in (failed["test_gpu_count_matches_the_limit"])
    )


def test_pod_that_waits_for_a_gpu_is_an_error(kubectl: Kubectl, pod: Pod, check: Check) -> None:
    kubectl.apply(worker_pod("other"))
    kubectl.wait("pod/other")
    kubectl.apply(pod)
    kubectl.wait("pod/worker", "condition=PodScheduled=false")
    found = check()
    assert (found.status, found.passed) == (4, set())
    assert "Pending: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu." in found.output
    assert "its GPUs are in use or not advertised: end the pod that has the GPU" in found.output


def test_pod_that_no_node_serves_is_an_error(kubectl: Kubectl, pod: Pod, check: Check) -> None:
    """The manifest's affinity keeps the pod from nodes whose driver the image does not serve."""
    pod["spec"]["nodeSelector"] = {LABEL: NOT_SERVED}
    kubectl.apply(pod)
    kubectl.wait("pod/worker", "condition=PodScheduled=false")
    found = check()
    assert (found.status, found.passed) == (4, set())
    assert "didn't match Pod's node affinity/selector" in found.output
    assert "no node has a label that the manifest requires" in found.output


def test_driver_that_the_image_does_not_serve_is_named(
    kubectl: Kubectl, pod: Pod, check: Check
) -> None:
    if not of_machine().stand_in:
        pytest.skip("not run: the node has a driver of its own")
    start(kubectl, pod)
    kubectl("label", "node", NODE, f"{LABEL}={NOT_SERVED}", "--overwrite")
    try:
        failed = check().failed
    finally:
        kubectl("label", "node", NODE, f"{LABEL}={of_machine().driver}", "--overwrite")
    assert failed["test_runsc_serves_the_node_driver"].startswith(
        f"this image's runsc does not serve the node's driver {NOT_SERVED}: sandboxes end with EOF;"
        f" gVisor releases 20240325.0 to 20250811.0 serve {NOT_SERVED}"
    )


def test_device_with_another_minor_number_is_named(
    kubectl: Kubectl, pod: Pod, check: Check
) -> None:
    container(pod)["args"] = ["/bin/sh", "-c", OTHER_NUMBERS]
    start(kubectl, pod)
    failed = check().failed
    assert set(failed) == {"test_devices_have_the_driver_numbers"}
    assert failed["test_devices_have_the_driver_numbers"].startswith(
        "nvidia-uvm is 510:1, expected 510:0 (minor 1 is nvidia-uvm-tools, with which CUDA fails)"
    )


def test_seccomp_profile_of_the_runtime_is_named(kubectl: Kubectl, pod: Pod, check: Check) -> None:
    container(pod)["securityContext"] = {"seccompProfile": {"type": "RuntimeDefault"}}
    start(kubectl, pod)
    failed = check().failed
    message = failed["test_sandbox_boots_in_the_pod"]
    assert message.startswith(
        "runsc cannot create a sandbox: the pod's seccomp profile blocks it; set seccompProfile"
    )
    assert "test_permissions_allow_sandboxes" not in failed


def test_another_image_is_named(kubectl: Kubectl, pod: Pod, check: Check) -> None:
    start(kubectl, pod)
    failed = check(image=f"worker@sha256:{64 * '1'}").failed
    assert set(failed) == {"test_pod_runs_the_image_under_test"}
    (message,) = failed.values()
    assert message.startswith(f"the pod runs {container(pod)['image']}")
    assert f"but --image names sha256:{64 * '1'}" in message


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("pod", "wroker", 'pods "wroker" not found; check the name; list the pods: kubectl'),
        ("namespace", "nowhere", 'namespaces "nowhere" not found'),
        ("context", "nowhere", 'context "nowhere" does not exist; list the contexts: '),
        ("container", "app", "pod worker has no container app; it has: worker"),
    ],
)
def test_misspelt_name_is_an_error(
    option: str, name: str, message: str, kubectl: Kubectl, pod: Pod, check: Check
) -> None:
    start(kubectl, pod)
    found = check(**{option: name})
    assert (found.status, found.passed) == (4, set())
    assert message in found.output


def test_pod_that_restarts_in_a_check_is_an_error(kubectl: Kubectl, pod: Pod, check: Check) -> None:
    """No check passes after it, also on the container that runs then."""
    container(pod)["args"] = ["/bin/sh", "-c", END_IN_A_CHECK]
    start(kubectl, pod)
    found = check()
    assert found.status == 4
    assert "lost the shell in pod worker: the container ended (Error, exit code 1)" in found.output
    after = list(found.checks)[list(found.checks).index("test_sandbox_boots_in_the_pod") + 1 :]
    assert after
    assert not found.passed & set(after)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runtimeClassName": "nvidla"}, 'RuntimeClass "nvidla" not found'),
        ({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, "violates PodSecurity"),
    ],
)
def test_deployment_whose_pods_are_refused_is_an_error_with_the_reason(
    change: dict[str, object], message: str, kubectl: Kubectl, pod: Pod, check: Check
) -> None:
    """A class that does not exist, or rights that Pod Security baseline refuses."""
    pod["spec"] |= change
    label = "pod-security.kubernetes.io/enforce"
    kubectl("label", "namespace", kubectl.namespace, f"{label}=baseline", "--overwrite")
    try:
        kubectl.apply(suite.deployment(pod))
        kubectl.wait("deployment/worker", "condition=ReplicaFailure")
        found = check(pod="deployment/worker")
    finally:
        kubectl("delete", "deployment", "worker", "--ignore-not-found")
        kubectl("label", "namespace", kubectl.namespace, f"{label}-")
    assert (found.status, found.passed) == (4, set())
    assert "the cluster refuses to create pods there: Error creating: pods" in found.output
    assert message in found.output
