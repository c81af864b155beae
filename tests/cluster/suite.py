"""Runs the checks of tests/pod on a pod of the cluster, as a user would."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support.kubernetes import Kubectl
from worker_images.cluster.cluster import of_machine
from worker_images.cluster.settings import CONTEXT
from worker_images.files import ROOT
from worker_images.model import results
from worker_images.model.results import FAILED, PASSED
from worker_images.node import node

Pod = dict[str, Any]
# Tests need one GPU, also of a machine with several.
ONE_GPU = replace(of_machine(), gpus=1)


@dataclass(frozen=True)
class SuiteRun:
    """The exit status, the output, and the results of the checks by their function."""

    status: int
    output: str
    checks: Mapping[str, results.Result]

    @property
    def failed(self) -> dict[str, str]:
        """The first line of each failure, by the check's function."""
        return {
            name: result.reason.partition("\n")[0].removeprefix("AssertionError: ")
            for name, result in self.checks.items()
            if result.outcome == FAILED
        }

    @property
    def passed(self) -> set[str]:
        """The functions of the checks that passed."""
        return {name for name, result in self.checks.items() if result.outcome == PASSED}


Check = Callable[..., SuiteRun]


def run(kubectl: Kubectl, report: Path, **options: str) -> SuiteRun:
    """Run the checks; the options replace those that name a pod `worker` of the namespace."""
    named = {
        "context": CONTEXT,
        "kubeconfig": str(kubectl.cluster.kubeconfig),
        "kubectl": str(kubectl.cluster.kubectl),
        "namespace": kubectl.namespace,
        **options,
    }
    command = [sys.executable, "-m", "pytest", "-q", "tests/pod", f"--junit-xml={report}"]
    command += [f"--{name}={value}" for name, value in named.items()]
    command += [] if node.driver() else ["--stand-in"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    # pytest writes no report if there is no pod to check.
    checks = results.read(report).checks if report.exists() else ()
    found = {each.function: each.result for each in checks}
    return SuiteRun(done.returncode, done.stdout + done.stderr, found)


def deployment(pod: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Deployment of one such pod."""
    labels = {"app": "worker"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "worker"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod["spec"]},
        },
    }


def start(kubectl: Kubectl, pod: Pod) -> None:
    """Create the pod `worker`, and wait until it runs."""
    kubectl.apply(pod)
    kubectl.wait("pod/worker")


def container(pod: Pod) -> Pod:
    """The specification of the pod's container."""
    (found,) = pod["spec"]["containers"]
    assert isinstance(found, dict)
    return found
