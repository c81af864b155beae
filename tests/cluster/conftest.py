"""The cluster of the tests: the private one, which is started if it does not run."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import suite
from tests.cluster.suite import Check, Pod, SuiteRun
from tests.support import clusters
from tests.support.clusters import RUNTIME_CLASS
from tests.support.kubernetes import Kubectl, worker_pod
from worker_images.cluster.cluster import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster; one that the tests started is stopped at the end."""
    with clusters.running(suite.ONE_GPU) as found:
        yield found


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    """kubectl in a namespace of its own, which is deleted at the end with all that it has."""
    namespace = f"test-{secrets.token_hex(4)}"
    found = Kubectl(cluster, namespace)
    found("create", "namespace", namespace)
    yield found
    found("delete", "namespace", namespace)


@pytest.fixture
def runtime_class(kubectl: Kubectl) -> Iterator[Callable[[str], str]]:
    """Create a RuntimeClass of a handler, which is deleted at the end, and return its name."""
    name = kubectl.namespace

    def create(handler: str) -> str:
        kubectl.apply(RUNTIME_CLASS | {"metadata": {"name": name}, "handler": handler})
        return name

    yield create
    kubectl("delete", "runtimeclass", name, "--ignore-not-found")


@pytest.fixture
def pod(kubectl: Kubectl) -> Iterator[Pod]:
    """A pod `worker` that passes every check; tests change it and create it."""
    yield worker_pod("worker")
    kubectl("delete", "pods", "--all", "--now")


@pytest.fixture
def check(kubectl: Kubectl, tmp_path: Path) -> Check:
    """Run the checks of the pod `worker`."""

    def run(**options: str) -> SuiteRun:
        return suite.run(kubectl, tmp_path / "pod.xml", **options)

    return run
