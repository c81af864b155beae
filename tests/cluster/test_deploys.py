"""Does each folder of deploy/ give a worker that is ready, with its GPU and its privileges?"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.support import overlays
from tests.support.kubernetes import Kubectl, manifest_digest
from worker_images.node.stand_in import DRIVER

Patch = Mapping[str, object]
Apply = Callable[..., str]
SECONDS = 30
BASELINE, SYS_ADMIN = "deploy/components/baseline", "deploy/components/sys-admin"
ROOTLESS, ROOT = "1000 0000000000000000", "0 00000000802030db"
PROFILE = "/spec/template/spec/containers/0/securityContext/seccompProfile/type"
STATE = """echo $(id -u) $(sed -n 's/^CapEff:.//p' /proc/self/status)
ls /dev/nvidia[0-9]* /dev/nvidiactl"""


@pytest.fixture
def applied(kubectl: Kubectl, tmp_path: Path) -> Iterator[Apply]:
    """Apply a folder of deploy/ for a node with stand-ins; return the name of the Deployment."""
    names = []

    def apply(resource: str, *components: str, patch: Patch | None = None) -> str:
        overlay = overlays.write(
            tmp_path,
            resource,
            *components,
            namespace=kubectl.namespace,
            patches=[patch] if patch else [],
            driver=DRIVER,
            digest=manifest_digest("slim" if resource == "slim" else "full"),
        )
        kubectl("apply", "--kustomize", str(overlay))
        names.append(f"deployment/worker-{resource}")
        return names[0]

    yield apply
    # The pods are gone, and their GPU is free.
    kubectl("delete", *names, "--cascade=foreground")


@pytest.mark.parametrize(
    ("resource", "components", "state"),
    [
        ("slim", (), ROOTLESS),
        ("full", (), ROOTLESS),
        ("slim", (BASELINE,), ROOTLESS),
        ("slim", (SYS_ADMIN,), ROOT),
        ("beta9", (), ROOT),
    ],
)
def test_worker_is_ready_with_its_gpu_and_privileges(
    resource: str, components: Sequence[str], state: str, kubectl: Kubectl, applied: Apply
) -> None:
    deployment = applied(resource, *components)
    kubectl("rollout", "status", deployment, f"--timeout={SECONDS}s")
    found = kubectl("exec", deployment, "--", "sh", "-c", STATE).splitlines()
    assert found == [state, "/dev/nvidia0", "/dev/nvidiactl"]


def test_worker_with_a_seccomp_profile_is_not_ready(kubectl: Kubectl, applied: Apply) -> None:
    """The startup probe gives the reason."""
    patch = {"op": "replace", "path": PROFILE, "value": "RuntimeDefault"}
    deployment = applied("slim", patch=patch)
    deadline = time.monotonic() + SECONDS
    select = "--field-selector=reason=Unhealthy"
    while "operation not permitted" not in kubectl("get", "events", select):
        assert time.monotonic() < deadline, kubectl("describe", deployment)
    status = kubectl.get(deployment)["status"]
    assert status.get("readyReplicas", 0) == 0
    events = kubectl("get", "events", select)
    assert "Startup probe failed: Error executing inside namespace: re-executing self" in events
