"""A pod behind kubectl: its objects, and a shell in it."""

import json
from dataclasses import dataclass
from typing import Any

from worker_images.node.place import Contained, PlaceError, answer


@dataclass(frozen=True)
class Cluster:
    """How the worker's pod is reached."""

    context: str
    namespace: str = "default"
    pod: str = "worker"
    kubectl: str = "kubectl"

    @property
    def command(self) -> tuple[str, ...]:
        """kubectl with the context and the namespace."""
        return (self.kubectl, f"--context={self.context}", f"--namespace={self.namespace}")

    @property
    def place(self) -> Contained:
        """The pod as a place to run in."""
        return Contained((*self.command, "exec", self.pod, "--"), f"pod {self.pod}")

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object of the cluster; raises PlaceError with kubectl's message."""
        found = answer([*self.command, "get", kind, name, "--output=json"])
        if found.status:
            raise PlaceError(f"kubectl get {kind} {name}: {found.errors.strip()}")
        try:
            made: dict[str, Any] = json.loads(found.output)
        except ValueError as error:
            raise PlaceError(f"kubectl get {kind} {name} wrote no JSON: {error}") from error
        return made
