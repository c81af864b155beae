"""A pod behind kubectl: its objects, a shell in it, and the note's commands as a reader would type
them.
"""

import json
import shlex
from dataclasses import dataclass
from typing import Any

from worker_images.node.place import Answer, Contained, PlaceError, answer


@dataclass(frozen=True)
class Cluster:
    """How the worker's pod is reached."""

    context: str
    namespace: str = "default"
    pod: str = "worker"
    kubectl: str = "kubectl"

    @property
    def command(self) -> tuple[str, ...]:
        """kubectl, turned to the context and the namespace."""
        return (self.kubectl, f"--context={self.context}", f"--namespace={self.namespace}")

    @property
    def place(self) -> Contained:
        """The pod as a place to run in."""
        return Contained((*self.command, "exec", self.pod, "--"), f"pod {self.pod}")

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object of the cluster; raises PlaceError in kubectl's words."""
        found = answer([*self.command, "get", kind, name, "--output=json"])
        if found.status:
            raise PlaceError(f"kubectl get {kind} {name}: {found.errors.strip()}")
        try:
            made: dict[str, Any] = json.loads(found.output)
        except ValueError as error:
            raise PlaceError(f"kubectl get {kind} {name} wrote no JSON: {error}") from error
        return made

    def type(self, line: str) -> Answer:
        """A line of the note in a shell beside kubectl, with this pod's name in it."""
        kubectl = f'kubectl() {{ command {shlex.join(self.command)} "$@"; }}'
        return answer(
            ["sh", "-c", f"{kubectl}\n{line.replace('<worker-pod>', shlex.quote(self.pod))}"]
        )
