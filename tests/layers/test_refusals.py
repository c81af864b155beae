"""Is a runsc that does not serve the driver refused before a roll-out, and by the pod after?"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.layers.conftest import Deploy
from tests.layers.worker import CONTROLS, Worker, compat
from tests.support.derived_images import Settings, derive
from tests.support.kubernetes import Kubectl
from tests.support.members import file
from worker_images.build import kit, record
from worker_images.cluster.cluster import IMAGE, Cluster
from worker_images.files import ROOT
from worker_images.harness.options import Seen
from worker_images.model import results
from worker_images.model.results import FAILED

# Of Debian's runsc.
OLD_RELEASE = "20240729.0"
INIT = {"op": "remove", "path": "/spec/template/spec/initContainers"}
REFUSED = "jsonpath={.status.initContainerStatuses[0].state.terminated.exitCode}=7"


@pytest.fixture(scope="module")
def outdated(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of slim with an older runsc, in the node."""
    if not CONTROLS.is_file():
        kit.controls(ROOT)
    runsc = file("usr/local/bin/runsc", CONTROLS.read_bytes(), 0o755)
    archive = tmp_path_factory.mktemp("outdated") / "image.tar"
    derive("slim", [runsc], Settings()).write(archive)
    images = ["ctr", "--namespace=k8s.io", "images", "import"]
    cluster.exec([*images, f"--base-name={IMAGE}", "--digests", "-"], archive)
    return record.manifest(archive)[0]


@pytest.fixture
def gone(kubectl: Kubectl) -> Iterator[None]:
    """The worker is deleted after the check."""
    yield
    kubectl("delete", "deployment", "--all", "--cascade=foreground")


def test_gate_refuses_a_release_that_does_not_serve_the_node(kubectl: Kubectl, seen: Seen) -> None:
    """Before the roll-out; the pinned release is the control."""
    nodes = kubectl("get", "nodes", "--output=json")
    assert compat(nodes).returncode == 0
    done = compat(nodes, "--release", OLD_RELEASE)
    seen(f"exit code {done.returncode}: {done.stderr.strip()}")
    assert done.returncode == 7
    assert f"gVisor {OLD_RELEASE} does not serve " in done.stderr


@pytest.mark.usefixtures("gone")
def test_pod_of_a_forced_roll_out_is_refused_by_its_init_container(
    deploy: Deploy, outdated: str, kubectl: Kubectl, tmp_path: Path, seen: Seen
) -> None:
    """The worker does not start; the pod layer shows the same reason."""
    worker = deploy("slim", digest=outdated)
    (pod,) = kubectl.get("pods")["items"]
    name = pod["metadata"]["name"]
    kubectl.wait(f"pod/{name}", REFUSED)
    why = kubectl("logs", name, "--container=check-driver").strip()
    seen(why)
    assert re.match(r"node1: driver \S+ is not served by gVisor ", why)
    found = worker.pod_layer(tmp_path / "pod.xml")
    assert found.status == 4
    assert "init container check-driver ended: " in found.output + found.errors


@pytest.mark.usefixtures("gone")
def test_pod_layer_refuses_an_image_that_was_forced_without_the_init_container(
    deploy: Deploy, outdated: str, kubectl: Kubectl, tmp_path: Path, seen: Seen
) -> None:
    """Of the checks of the driver, the one that names it fails."""
    worker = deploy("slim", digest=outdated, more=[INIT])
    kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pods", "--all", "--timeout=60s")
    failed = driver_check(worker, tmp_path)
    seen(failed)
    assert "this image's runsc does not serve the node's driver" in failed


def driver_check(worker: Worker, folder: Path) -> str:
    """Why the pod's runsc does not serve its driver, as tests/pod reports it."""
    found = worker.pod_layer(folder / "pod.xml", "--deselect=tests/pod/test_sandbox.py")
    assert found.status == 1, found.output + found.errors
    (check,) = [
        each
        for each in results.read(folder / "pod.xml").with_outcome(FAILED)
        if each.function == "test_runsc_serves_the_node_driver"
    ]
    return check.result.reason.partition("\n")[0]
