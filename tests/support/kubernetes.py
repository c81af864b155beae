"""A cluster's objects, by kubectl."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from worker_images.build.record import Record
from worker_images.cluster.cluster import IMAGE, Cluster
from worker_images.cluster.settings import CONTEXT
from worker_images.files import ROOT
from worker_images.node.place import CommandResult

WAIT_SECONDS = 60


@dataclass(frozen=True)
class Kubectl:
    """kubectl with the access to a cluster and a namespace."""

    cluster: Cluster
    namespace: str = "default"

    @property
    def command(self) -> list[str]:
        """The command line before the arguments."""
        access = (f"--kubeconfig={self.cluster.kubeconfig}", f"--context={CONTEXT}")
        return [str(self.cluster.kubectl), *access, f"--namespace={self.namespace}"]

    def run(self, *arguments: str, text: str = "") -> CommandResult:
        """Run kubectl with a text on standard input."""
        result = subprocess.run(
            [*self.command, *arguments], input=text, capture_output=True, text=True, check=False
        )
        return CommandResult(result.returncode, result.stdout, result.stderr)

    def __call__(self, *arguments: str, text: str = "") -> str:
        """Run kubectl and return its output; the test fails if kubectl fails."""
        result = self.run(*arguments, text=text)
        assert result.status == 0, f"kubectl {' '.join(arguments)}: {result.errors}"
        return result.output

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return an object, or a list of objects."""
        found: dict[str, Any] = json.loads(self("get", "--output=json", *arguments))
        return found

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Create or change objects."""
        self("apply", "--filename=-", text=_list(objects))

    def wait(self, what: str, condition: str = "condition=Ready") -> None:
        """Wait for a condition of an object; the test fails if it does not come."""
        self("wait", f"--for={condition}", f"--timeout={WAIT_SECONDS}s", what)


def _list(objects: Iterable[Mapping[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def worker_pod(name: str, variant: str = "slim") -> dict[str, Any]:
    """Return a pod of a worker image with one GPU, which ends at once when it is deleted."""
    container = {
        "name": "worker",
        "image": f"{IMAGE}@{manifest_digest(variant)}",
        "args": ["/bin/sleep", "infinity"],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "runtimeClassName": "nvidia",
            "automountServiceAccountToken": False,
            "containers": [container],
        },
    }


def manifest_digest(variant: str) -> str:
    """Return the digest by which pods name the image in out/."""
    built = Record.read(ROOT / "out" / variant / "build.json")
    assert built
    return built.manifest_digest
