"""Does a rolling update replace a worker, and is a gVisor that does not serve a node refused?"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import overlays
from tests.support.kubernetes import Kubectl, manifest_digest
from worker_images.files import ROOT
from worker_images.node.stand_in import DRIVER

DEPLOYMENT = "deployment/worker-slim"
# The release of the requirements, which serves no driver of branch 580.
OLD_RELEASE = "20250407.0"


def apply(kubectl: Kubectl, folder: Path, variant: str = "slim", driver: str = DRIVER) -> None:
    """Apply slim, or an update of it to the image of another variant."""
    folder.mkdir()
    overlay = overlays.write(
        folder,
        "slim",
        namespace=kubectl.namespace,
        digest=manifest_digest(variant),
        driver=driver,
    )
    kubectl("apply", "--kustomize", str(overlay))


def wait_for_rollout(kubectl: Kubectl) -> None:
    kubectl("rollout", "status", DEPLOYMENT, "--timeout=60s")


def pods(kubectl: Kubectl) -> list[dict[str, Any]]:
    """The pods of the Deployment that are not being deleted."""
    found: list[dict[str, Any]] = kubectl.get("pods", "--selector=app.kubernetes.io/name=worker")[
        "items"
    ]
    return [each for each in found if "deletionTimestamp" not in each["metadata"]]


def image_of(pod: dict[str, Any]) -> str:
    image: str = pod["status"]["containerStatuses"][0]["imageID"]
    return image.partition("@")[2]


def test_update_replaces_the_image_on_the_only_gpu(kubectl: Kubectl, tmp_path: Path) -> None:
    """The old pod ends first, so the new one gets its GPU; it is ready when a sandbox boots."""
    apply(kubectl, tmp_path / "old")
    wait_for_rollout(kubectl)
    (before,) = pods(kubectl)
    apply(kubectl, tmp_path / "new", "full")
    wait_for_rollout(kubectl)
    (after,) = pods(kubectl)
    assert image_of(before) == manifest_digest("slim")
    assert image_of(after) == manifest_digest("full")


def test_update_that_the_node_refuses_is_undone(kubectl: Kubectl, tmp_path: Path) -> None:
    """The init container names the driver; `kubectl rollout undo` brings the old image back."""
    apply(kubectl, tmp_path / "good")
    wait_for_rollout(kubectl)
    (good,) = pods(kubectl)
    apply(kubectl, tmp_path / "bad", "full", driver="595.71.05")
    refusal = "jsonpath={.status.initContainerStatuses[0].state.terminated.exitCode}=7"
    kubectl("wait", "--for=delete", f"pod/{good['metadata']['name']}", "--timeout=60s")
    (bad,) = pods(kubectl)
    name = bad["metadata"]["name"]
    kubectl.wait(f"pod/{name}", refusal)
    listing = kubectl("get", "pod", name)
    assert any(each in listing for each in ("Init:Error", "Init:CrashLoopBackOff")), listing
    assert "driver 595.71.05 is not served" in kubectl("logs", name, "--container=check-driver")
    kubectl("rollout", "undo", DEPLOYMENT)
    wait_for_rollout(kubectl)
    (after,) = pods(kubectl)
    assert image_of(after) == manifest_digest("slim")


@pytest.mark.parametrize(("options", "status"), [([], 0), (["--release", OLD_RELEASE], 7)])
def test_gate_before_an_update_reads_the_nodes_of_the_cluster(
    options: list[str], status: int, kubectl: Kubectl
) -> None:
    """A release that does not serve a node's driver is refused, with the node and the driver."""
    nodes = kubectl("get", "nodes", "--output=json")
    command = [sys.executable, "build.py", "compat", "--fleet", "-", "--json", *options]
    done = subprocess.run(
        command, cwd=ROOT, input=nodes, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    (answer,) = json.loads(done.stdout)["nodes"]
    assert (answer["node"], answer["driver"]) == ("node1", "580.159.04")
