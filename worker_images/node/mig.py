"""Asks nvidia-smi which GPUs are in MIG mode: /proc shows only those that are divided."""

from dataclasses import replace

from worker_images.node.node import Node
from worker_images.node.place import PlaceError, run_command

QUERY = ("--query-gpu=uuid,mig.mode.current", "--format=csv,noheader")
SECONDS = 20.0


def with_mode(node: Node) -> Node:
    """Return this machine's node with the GPUs in MIG mode marked.

    Without nvidia-smi, or if it fails, the node is returned as it is.
    """
    program = next((str(path) for path in node.programs if path.name == "nvidia-smi"), "")
    if not program or not node.cards:
        return node
    try:
        found = run_command(["env", *node.native_environment, program, *QUERY], SECONDS)
    except PlaceError:
        return node
    rows = (line.partition(",") for line in found.output.splitlines() if not found.status)
    divided = {uuid.strip() for uuid, _, mode in rows if mode.strip() == "Enabled"}
    cards = tuple(
        replace(card, in_mig_mode=card.in_mig_mode or card.uuid in divided) for card in node.cards
    )
    return replace(node, cards=cards)
