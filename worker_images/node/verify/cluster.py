"""Reads a pod and its cluster's objects with kubectl."""

import json
from dataclasses import dataclass
from typing import Any

from worker_images.node.place import PlaceError, RunningContainer, run_command


@dataclass(frozen=True)
class Cluster:
    """The worker's pod, and the context and namespace to reach it."""

    context: str
    namespace: str = "default"
    pod: str = "worker"
    kubectl: str = "kubectl"

    @property
    def command(self) -> tuple[str, ...]:
        """kubectl with the context and the namespace."""
        return (self.kubectl, f"--context={self.context}", f"--namespace={self.namespace}")

    @property
    def place(self) -> RunningContainer:
        """The pod as a place where commands run."""
        return RunningContainer((*self.command, "exec", self.pod, "--"), f"pod {self.pod}")

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object of the cluster; raises PlaceError with kubectl's message."""
        result = run_command([*self.command, "get", kind, name, "--output=json"])
        if result.status:
            raise PlaceError(f"kubectl get {kind} {name}: {result.errors.strip()}")
        try:
            value: dict[str, Any] = json.loads(result.output)
        except ValueError as error:
            raise PlaceError(f"kubectl get {kind} {name} printed invalid JSON: {error}") from error
        return value
