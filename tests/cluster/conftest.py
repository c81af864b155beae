"""The cluster of the tests: the private one, which is started if it does not run."""

import secrets
from collections.abc import Iterator

import pytest

from tests.support.kubernetes import Kubectl
from worker_images.build.go_programs import Parts
from worker_images.cluster.cluster import Cluster, of_machine
from worker_images.console import print_progress
from worker_images.files import ROOT

RUNTIME_CLASS = {
    "apiVersion": "node.k8s.io/v1",
    "kind": "RuntimeClass",
    "metadata": {"name": "nvidia"},
    "handler": "nvidia",
}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster; one that the tests started is stopped at the end."""
    found = Cluster(ROOT)
    running = found.running
    if not running:
        found.start(Parts.of(ROOT), print_progress, of_machine())
    Kubectl(found).apply(RUNTIME_CLASS)
    yield found
    if not running:
        found.stop()


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    """kubectl in a namespace of its own, which is deleted at the end with all that it has."""
    namespace = f"test-{secrets.token_hex(4)}"
    found = Kubectl(cluster, namespace)
    found("create", "namespace", namespace)
    yield found
    found("delete", "namespace", namespace)
