"""What the pod's rows look at: a pod of a cluster, or a node with an image."""

import secrets
from dataclasses import dataclass

from worker_images.model.drivers.table import Table
from worker_images.node import cause
from worker_images.node.node import Node
from worker_images.node.place import Answer, Place, PlaceError, run
from worker_images.node.verify.cluster import Cluster


@dataclass(frozen=True)
class Target:
    """Where commands run, and either the cluster or the node that it belongs to."""

    place: Place
    table: Table
    cluster: Cluster | None = None
    node: Node | None = None


def shell(place: Place, line: str) -> Answer:
    """Run a line in a place's shell.

    Raises PlaceError where the carrier failed (kubectl exec ...): its status alone cannot tell.
    """
    word = secrets.token_hex(12)
    script = f'(\n{line}\n); printf "\\n{word} %d\\n" "$?"'
    found = run(place, ["sh", "-c", script])
    output, mark, status = found.output.rpartition(f"\n{word} ")
    if not mark:
        words = last_line(found.errors) or f"status {found.status}"
        raise PlaceError(f"{place.name} gave no answer: {words}")
    return Answer(int(status), output, found.errors)


def explained(text: str, table: Table) -> tuple[str, str]:
    """Reason and next step of a failure's text; its last line where no reason is known."""
    for reason in cause.explain(text, table):
        return reason.words, reason.step
    step = "read runsc's debug log: python3 -m worker_images.node explain LOG"
    return last_line(text) or "no output", step


def last_line(text: str) -> str:
    """The last line that is not empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
