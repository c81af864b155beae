"""The private cluster for a suite of tests, which is started if it does not run."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.kubernetes import Kubectl
from worker_images.build.go_programs import Parts
from worker_images.cluster.cluster import Cluster
from worker_images.cluster.settings import Options
from worker_images.console import print_progress
from worker_images.files import ROOT

RUNTIME_CLASS = {
    "apiVersion": "node.k8s.io/v1",
    "kind": "RuntimeClass",
    "metadata": {"name": "nvidia"},
    "handler": "nvidia",
}


@contextmanager
def running(options: Options) -> Iterator[Cluster]:
    """A running cluster that hands out the GPUs; one that it starts is stopped at the end."""
    found = Cluster(ROOT)
    was_running = found.running
    found.start(Parts.of(ROOT), print_progress, options)
    try:
        Kubectl(found).apply(RUNTIME_CLASS)
        # A run that was killed may have left other options.
        found.hand_out(options)
        yield found
    finally:
        if not was_running:
            found.stop()
