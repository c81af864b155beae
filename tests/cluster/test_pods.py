"""Do pods with a GPU pass the checks, whichever way the cluster hands it out?"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.cluster.suite import ONE_GPU, Check, Pod, container, start
from tests.support import overlays
from tests.support.kubernetes import Kubectl, manifest_digest, worker_pod
from worker_images.build.record import Record
from worker_images.cluster.cluster import Cluster
from worker_images.files import ROOT
from worker_images.model.capabilities import SANDBOX
from worker_images.node.stand_in import DRIVER
from worker_images.release import results
from worker_images.release.results import Subject


def test_valid_pod_passes(kubectl: Kubectl, pod: Pod, check: Check, tmp_path: Path) -> None:
    """The control of all checks below; a release takes its results for the image that it runs."""
    start(kubectl, pod)
    built = Record.read(ROOT / "out/slim/build.json")
    assert built
    found = check(image=str(ROOT / "out/slim/image.tar"))
    assert (found.status, found.failed) == (0, {}), found.output
    assert len(found.passed) >= 17
    slim = Subject(
        "slim", "amd64", built.image_id, built.manifest_digest, ROOT / "out/slim/image.xml"
    )
    (released,) = results.gather(ROOT, [slim], [tmp_path])
    (rows,) = [each.rows for each in released.layers if each.name == "pod"]
    assert len(rows) == len(found.checks)


def test_pod_with_cdi_devices_passes(
    kubectl: Kubectl, pod: Pod, check: Check, cluster: Cluster
) -> None:
    """CDI sets NVIDIA_VISIBLE_DEVICES to void, and needs no RuntimeClass."""
    cluster.hand_out(replace(ONE_GPU, cdi=True))
    try:
        del pod["spec"]["runtimeClassName"]
        start(kubectl, pod)
        found = check()
    finally:
        cluster.hand_out(ONE_GPU)
    assert (found.status, found.failed) == (0, {}), found.output
    assert found.checks["test_visible_devices_name_no_part_of_a_gpu"].seen == "void"
    seen = found.checks["test_runtime_class_adds_the_driver"].seen
    assert seen == "no runtimeClassName; this cluster adds the driver's files without one"


def test_pod_with_cdi_devices_under_another_class_passes(
    kubectl: Kubectl, pod: Pod, check: Check, cluster: Cluster, runtime_class: Callable[[str], str]
) -> None:
    """The driver's files come with the devices, whatever the handler's name."""
    name = runtime_class("runc")
    cluster.hand_out(replace(ONE_GPU, cdi=True))
    try:
        pod["spec"]["runtimeClassName"] = name
        start(kubectl, pod)
        found = check()
    finally:
        cluster.hand_out(ONE_GPU)
    assert (found.status, found.failed) == (0, {}), found.output
    seen = found.checks["test_runtime_class_adds_the_driver"].seen
    assert seen == f"runtimeClassName {name}, handler runc"


def test_worker_without_a_class_passes(
    kubectl: Kubectl, check: Check, cluster: Cluster, tmp_path: Path
) -> None:
    """The component is for clusters that add the driver's files themselves."""
    folder = tmp_path / "overlay"
    folder.mkdir()
    overlay = overlays.write(
        folder,
        "slim",
        "deploy/components/no-runtime-class",
        namespace=kubectl.namespace,
        driver=DRIVER,
        digest=manifest_digest("slim"),
    )
    cluster.hand_out(replace(ONE_GPU, cdi=True))
    try:
        kubectl("apply", "--kustomize", str(overlay))
        kubectl("rollout", "status", "deployment/worker-slim", "--timeout=60s")
        found = check(pod="deployment/worker-slim")
    finally:
        kubectl("delete", "deployment", "worker-slim", "--cascade=foreground")
        cluster.hand_out(ONE_GPU)
    assert (found.status, found.failed) == (0, {}), found.output
    seen = found.checks["test_runtime_class_adds_the_driver"].seen
    assert seen == "no runtimeClassName; this cluster adds the driver's files without one"


def test_pod_with_capabilities_starts_sandboxes_as_root(
    kubectl: Kubectl, pod: Pod, check: Check
) -> None:
    added = {"drop": ["ALL"], "add": [*SANDBOX]}
    container(pod)["securityContext"] = {"runAsUser": 0, "capabilities": added}
    start(kubectl, pod)
    found = check()
    assert (found.status, found.failed) == (0, {}), found.output
    seen = found.checks["test_permissions_allow_sandboxes"].seen
    assert seen.startswith("runsc runs as root;")


def test_pod_that_shares_its_gpu_passes(
    kubectl: Kubectl, pod: Pod, check: Check, cluster: Cluster
) -> None:
    other = worker_pod("other")
    cluster.hand_out(replace(ONE_GPU, replicas=2))
    try:
        kubectl.apply(other)
        start(kubectl, pod)
        kubectl.wait("pod/other")
        found = check()
        kubectl("delete", "pods", "--all", "--now")
    finally:
        cluster.hand_out(ONE_GPU)
    assert (found.status, found.failed) == (0, {}), found.output
    assert found.checks["test_gpu_count_matches_the_limit"].seen.startswith("1 in /dev")
