"""The target of the pod's rows: a pod of a cluster, or a node with an image."""

import secrets
from dataclasses import dataclass

from worker_images.model.drivers.table import Table
from worker_images.node import diagnose
from worker_images.node.node import Node
from worker_images.node.place import CommandResult, Place, PlaceError, run
from worker_images.node.verify.cluster import Cluster


@dataclass(frozen=True)
class Target:
    """A place where commands run, and either its cluster or its node."""

    place: Place
    table: Table
    cluster: Cluster | None = None
    node: Node | None = None


def shell(place: Place, line: str) -> CommandResult:
    """Run a command line in a place's shell.

    Raises PlaceError if the transport failed, such as kubectl exec. A marker in the output shows
    that the shell ran: the exit status can be that of the transport.
    """
    marker = secrets.token_hex(12)
    script = f'(\n{line}\n); printf "\\n{marker} %d\\n" "$?"'
    result = run(place, ["sh", "-c", script])
    output, found, status = result.output.rpartition(f"\n{marker} ")
    if not found:
        reason = last_line(result.errors) or f"exit status {result.status}"
        raise PlaceError(f"{place.name} did not respond: {reason}")
    return CommandResult(int(status), output, result.errors)


def explain_failure(text: str, table: Table) -> tuple[str, str]:
    """Return the reason and the next step of a failure; its last line if no cause is known."""
    for cause in diagnose.explain(text, table):
        return cause.message, cause.step
    step = "read runsc's debug log: python3 -m worker_images.node explain LOG"
    return last_line(text) or "no output", step


def last_line(text: str) -> str:
    """Return the last line that is not empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
