"""Do users' containers run in the pods of deploy/ as they run in a container of an engine?"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support import overlays
from tests.support.kubernetes import Kubectl, manifest_digest
from worker_images.cluster.settings import CONTEXT
from worker_images.files import ROOT
from worker_images.model import results
from worker_images.model.results import FAILED, PASSED
from worker_images.node.stand_in import DRIVER

SYS_ADMIN, RUNC = "deploy/components/sys-admin", "deploy/components/runc"


@pytest.fixture
def worker(
    request: pytest.FixtureRequest, kubectl: Kubectl, tmp_path: Path
) -> Iterator[tuple[str, int]]:
    """The pod of a variant with components, and how many checks must pass there."""
    variant, components, count = request.param
    overlay = overlays.write(
        tmp_path,
        variant,
        *components,
        namespace=kubectl.namespace,
        driver=DRIVER,
        digest=manifest_digest(variant),
    )
    kubectl("apply", "--kustomize", str(overlay))
    name = f"deployment/worker-{variant}"
    kubectl("rollout", "status", name, "--timeout=60s")
    pod = kubectl("get", "pods", "--output=name", "--selector=app.kubernetes.io/name=worker")
    yield pod.strip().removeprefix("pod/"), count
    kubectl("delete", name, "--cascade=foreground")


def sandboxes(kubectl: Kubectl, pod: str, report: Path) -> Sequence[results.Check]:
    """Run the layer `sandboxes` in a pod, as docs/launcher.md says."""
    options = {
        "place": "pod",
        "context": CONTEXT,
        "kubeconfig": str(kubectl.cluster.kubeconfig),
        "kubectl": str(kubectl.cluster.kubectl),
        "namespace": kubectl.namespace,
        "pod": pod,
        "junit-xml": str(report),
    }
    command = [sys.executable, "-m", "pytest", "-q", "tests/sandboxes"]
    command += [f"--{name}={value}" for name, value in options.items()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-2000:]}"
    return results.read(report).checks


@pytest.mark.parametrize(
    "worker",
    [("slim", (), 26), ("full", (SYS_ADMIN, RUNC), 55)],
    ids=["rootless", "sys-admin"],
    indirect=True,
)
def test_users_containers_run_in_the_pod(
    worker: tuple[str, int], kubectl: Kubectl, tmp_path: Path
) -> None:
    """Checks of privileges that the pod lacks are not run, with the reason."""
    pod, count = worker
    checks = sandboxes(kubectl, pod, tmp_path / "sandboxes.xml")
    outcomes = Counter(check.result.outcome for check in checks)
    assert (outcomes[PASSED], outcomes[FAILED]) == (count, 0)
