"""Do users' containers run in the pods of deploy/ as they run in a container of an engine?"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import overlays
from tests.support.kubernetes import Kubectl, manifest_digest, worker_pod
from worker_images.cluster.settings import CONTEXT
from worker_images.files import ROOT
from worker_images.model import results
from worker_images.model.results import FAILED, PASSED
from worker_images.node.stand_in import DRIVER

TEST = "tests/sandboxes/test_exit_codes.py"
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
    yield name, count
    kubectl("delete", name, "--cascade=foreground")


def sandboxes(
    kubectl: Kubectl, pod: str, report: Path, *selected: str
) -> subprocess.CompletedProcess[str]:
    """Run the layer `sandboxes` in a pod, as docs/launcher.md says."""
    options = {
        "place": "pod",
        "require": "sandboxes",
        "context": CONTEXT,
        "kubeconfig": str(kubectl.cluster.kubeconfig),
        "kubectl": str(kubectl.cluster.kubectl),
        "namespace": kubectl.namespace,
        "pod": pod,
        "junit-xml": str(report),
    }
    command = [sys.executable, "-m", "pytest", "-q", *(selected or ["tests/sandboxes"])]
    command += [f"--{name}={value}" for name, value in options.items()]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "worker",
    [("slim", (), 26), ("full", (SYS_ADMIN, RUNC), 59)],
    ids=["rootless", "sys-admin"],
    indirect=True,
)
def test_users_containers_run_in_the_pod(
    worker: tuple[str, int], kubectl: Kubectl, tmp_path: Path
) -> None:
    """Checks of privileges that the pod lacks are not run, with the reason."""
    pod, count = worker
    report = tmp_path / "sandboxes.xml"
    done = sandboxes(kubectl, pod, report)
    assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-2000:]}"
    outcomes = Counter(check.result.outcome for check in results.read(report).checks)
    assert (outcomes[PASSED], outcomes[FAILED]) == (count, 0)
    assert kubectl("exec", pod, "--", "sh", "-c", "ls -d /tmp/tmp.* || true") == ""


def test_pod_that_fits_no_launcher_fails(kubectl: Kubectl, tmp_path: Path) -> None:
    """Otherwise a run in which nothing ran would pass."""
    pod = worker_pod("worker")
    rights = {"runAsUser": 0, "capabilities": {"drop": ["ALL"]}}
    pod["spec"]["containers"][0]["securityContext"] = rights
    kubectl.apply(pod)
    kubectl.wait("pod/worker")
    done = sandboxes(kubectl, "worker", tmp_path / "sandboxes.xml", TEST)
    kubectl("delete", "pod", "worker", "--now")
    assert done.returncode == 1
    assert "required by --require sandboxes, but not run: no launcher fits the pod: " in done.stdout
    assert "the pod's user is root" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "name a worker's pod: --context CTX --namespace NS --pod POD"),
        (("--context=nowhere",), 'context "nowhere" does not exist'),
    ],
)
def test_pod_that_is_not_named_is_an_error(
    options: tuple[str, ...], message: str, kubectl: Kubectl
) -> None:
    command = [sys.executable, "-m", "pytest", TEST, "--place=pod", *options]
    command += [f"--kubectl={kubectl.cluster.kubectl}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert message in done.stderr
