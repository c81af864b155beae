"""Fixtures: the cluster with all GPUs of this machine, and workers with the machine's root."""

import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.layers.worker import RIGHTS, Worker
from tests.support import clusters, overlays
from tests.support.kubernetes import Kubectl, manifest_digest
from worker_images.cluster.cluster import Cluster, of_machine
from worker_images.files import ROOT
from worker_images.node import node
from worker_images.node.node import Node
from worker_images.node.pod import place
from worker_images.node.stand_in import DRIVER

RESULTS = ROOT / "out/layers"
MACHINE, USERS = "/machine", "/run/users-root"
LIMIT = "/spec/template/spec/containers/0/resources/limits/nvidia.com~1gpu"
Deploy = Callable[..., Worker]


@pytest.fixture(scope="session")
def machine() -> Node:
    """This machine, with or without a GPU."""
    return node.read()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster, with a root for users' containers and its mount points."""
    options = of_machine()
    gpus = [f"/dev/nvidia{number}" for number in range(options.gpus)]
    points = ("/dev/nvidiactl", "/dev/nvidia-uvm", *gpus)
    with clusters.running(options) as found:
        found.exec(["sh", "-euc", place.USERS_ROOT, "sh", MACHINE, USERS, *points])
        yield found


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    """kubectl in a namespace of its own, which is deleted at the end with all that it has."""
    found = Kubectl(cluster, f"layers-{secrets.token_hex(4)}")
    found("create", "namespace", found.namespace)
    yield found
    found("delete", "namespace", found.namespace)


@pytest.fixture(scope="module")
def deploy(
    kubectl: Kubectl, machine: Node, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deploy]:
    """Deploy a variant of deploy/ as a worker with some GPUs; it ends with the module."""
    names = []

    def apply(
        variant: str, gpus: int = 1, digest: str = "", more: Sequence[overlays.Patch] = ()
    ) -> Worker:
        limit: overlays.Patch = {"op": "replace", "path": LIMIT, "value": gpus}
        overlay = overlays.write(
            tmp_path_factory.mktemp("overlay"),
            variant,
            *RIGHTS[variant],
            "tests/layers/node-root",
            namespace=kubectl.namespace,
            patches=[limit, *more],
            driver="" if machine.driver else DRIVER,
            digest=digest or manifest_digest(variant),
        )
        kubectl("apply", "--kustomize", str(overlay))
        names.append(f"deployment/worker-{variant}")
        return Worker(kubectl, variant, names[-1], machine)

    yield apply
    if names:
        # The pods are gone, and their GPUs are free.
        kubectl("delete", *dict.fromkeys(names), "--ignore-not-found", "--cascade=foreground")


@pytest.fixture(scope="module", params=["full", "slim"], ids=["full-root", "slim-rootless"])
def worker(
    request: pytest.FixtureRequest, deploy: Deploy, kubectl: Kubectl, machine: Node
) -> Iterator[Worker]:
    """A worker with all GPUs: full as root, slim as user 1000 without a capability."""
    found = deploy(request.param, max(len(machine.gpus), 1))
    found.wait()
    yield found
    kubectl("delete", found.name, "--cascade=foreground")


@pytest.fixture(scope="module")
def results(worker: Worker) -> Path:
    """The folder for the results of a worker; those of an earlier run do not count."""
    folder = RESULTS / worker.variant
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
