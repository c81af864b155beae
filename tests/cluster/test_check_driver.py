"""Does the init container of deploy/ refuse a node with its reason, and let others start?"""

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support import overlays
from tests.support.kubernetes import Kubectl, manifest_digest
from worker_images.node.stand_in import DRIVER

NO_GPU = {"op": "remove", "path": "/spec/template/spec/containers/0/resources/limits"}
FILE = "/spec/template/spec/initContainers/0/env/2/value"
UNSERVED = "595.71.05"


def started(
    kubectl: Kubectl, folder: Path, driver: str, file: str = "/etc/driver/version"
) -> Mapping[str, Any]:
    """Start a pod of slim without a GPU; return its status when it runs or has failed."""
    patches = [NO_GPU, {"op": "replace", "path": FILE, "value": file}]
    digest, namespace = manifest_digest("slim"), kubectl.namespace
    overlay = overlays.write(
        folder, "slim", namespace=namespace, patches=patches, driver=driver, digest=digest
    )
    found = overlays.objects(kubectl, overlay)
    spec = overlays.pod(found) | {"restartPolicy": "Never"}
    name = f"worker-{secrets.token_hex(4)}"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    kubectl.apply(*(each for each in found if each["kind"] == "ConfigMap"), pod)
    kubectl.wait(f"pod/{name}", "jsonpath={.status.initContainerStatuses[0].state.terminated}")
    status: dict[str, Any] = kubectl.get("pod", name)["status"]
    kubectl("delete", "pod", name, "--now")
    return status


def test_node_with_a_served_driver_starts_the_worker(kubectl: Kubectl, tmp_path: Path) -> None:
    (check,) = started(kubectl, tmp_path, DRIVER)["initContainerStatuses"]
    assert check["state"]["terminated"]["exitCode"] == 0


@pytest.mark.parametrize(
    ("driver", "file", "message", "step"),
    [
        (
            UNSERVED,
            "/etc/driver/version",
            f"node1: driver {UNSERVED} is not served by gVisor 2026",
            rf"run: ./build\.py compat --driver {UNSERVED} --release \d{{8}}\.\d+",
        ),
        (
            DRIVER,
            "/proc/driver/nvidia/none",
            "node1: no NVIDIA driver: /proc/driver/nvidia/none does not exist; load the driver",
            "keep workers off this node",
        ),
    ],
)
def test_node_without_a_served_driver_is_refused_with_the_next_step(
    driver: str, file: str, message: str, step: str, kubectl: Kubectl, tmp_path: Path
) -> None:
    status = started(kubectl, tmp_path, driver, file)
    (check,) = status["initContainerStatuses"]
    ended = check["state"]["terminated"]
    assert ended["exitCode"] == 7
    assert ended["message"].startswith(message)
    assert re.search(f"{step}$", ended["message"].rstrip())
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"
