"""A worker of deploy/ in the cluster, and the commands that check it, each with a time limit."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.kubernetes import Kubectl
from worker_images.cluster.settings import CONTEXT
from worker_images.files import ROOT
from worker_images.node.node import Node
from worker_images.node.place import CommandResult, PlaceError, run_command

RIGHTS: Mapping[str, tuple[str, ...]] = {
    "full": ("deploy/components/sys-admin", "deploy/components/runc"),
    "slim": (),
}
CONTROLS = ROOT / "out/gpu-controls/runsc"
SECONDS = 60
POD_SECONDS, WORKLOAD_SECONDS, VERIFY_SECONDS = 90, 420, 90


@dataclass(frozen=True)
class Worker:
    """A Deployment of one pod, and the machine that it runs on."""

    kubectl: Kubectl
    variant: str
    name: str
    machine: Node

    @property
    def image(self) -> Path:
        """The archive of its image."""
        return ROOT / "out" / self.variant / "image.tar"

    @property
    def options(self) -> list[str]:
        """The options that name its pod."""
        cluster = self.kubectl.cluster
        values = {
            "context": CONTEXT,
            "kubeconfig": cluster.kubeconfig,
            "kubectl": cluster.kubectl,
            "namespace": self.kubectl.namespace,
            "pod": self.name,
        }
        return [f"--{name}={value}" for name, value in values.items()]

    def wait(self) -> None:
        """Wait until it is ready; the check fails with its description if it is not."""
        status = ("rollout", "status", self.name, f"--timeout={SECONDS}s")
        if self.kubectl.run(*status).status:
            raise AssertionError(self.kubectl.run("describe", "pods").output)

    def pod_layer(self, report: Path, *more: str) -> CommandResult:
        """Run tests/pod on its pod."""
        stand_in = () if self.machine.driver else ("--stand-in",)
        words = ["pytest", "-q", "tests/pod", f"--junit-xml={report}", f"--image={self.image}"]
        return run(POD_SECONDS, *words, *self.options, *stand_in, *more)

    def workload_layer(self, results: Path) -> CommandResult:
        """Run tests/workload and the benchmark in its pod."""
        words = ["worker_images.node", "workload", "--place=pod", f"--variant={self.variant}"]
        words += [f"--image={self.image}", f"--results={results}", "--benchmark", *self.options]
        if self.machine.driver:
            words += ["--require=workload", f"--other-runsc={CONTROLS}"]
        if len(self.machine.gpus) > 1:
            words.append("--require=gpus")
        return run(WORKLOAD_SECONDS, *words)

    def workload_check(self, check: str, report: Path) -> CommandResult:
        """Run one check of tests/workload in its pod, which must not be left out."""
        words = ["pytest", "-q", check, f"--junit-xml={report}", f"--python={python()}"]
        words += [f"--variant={self.variant}", f"--image={self.image}", "--place=pod"]
        return run(POD_SECONDS, *words, "--require=pod", *self.options)

    def checklist(self, results: Path) -> CommandResult:
        """Join all results with the requirements' checklist."""
        report = self.image.with_name("image.xml")
        words = ["worker_images.node", "verify", f"--image={self.image}", f"--results={results}"]
        words += [f"--results={report}"] if report.exists() else []
        return run(VERIFY_SECONDS, *words, f"--json={results / 'verify.json'}")


def python() -> str:
    """The user's Python, which may have torch."""
    return shutil.which("python3") or sys.executable


def run(seconds: float, *words: str) -> CommandResult:
    """Run a module of Python in the checkout; after the time limit it is killed."""
    command = [sys.executable, "-X", "utf8", "-m", *words]
    try:
        return run_command(["env", "-C", str(ROOT), *command], seconds)
    except PlaceError as error:
        return CommandResult(1, "", str(error))


def compat(nodes: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run the gate before a roll-out on the nodes of a cluster."""
    command = [sys.executable, "build.py", "compat", "--fleet", "-", *options]
    return subprocess.run(
        command, cwd=ROOT, input=nodes, capture_output=True, text=True, check=False
    )
