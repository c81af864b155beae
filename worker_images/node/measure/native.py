"""The commands that run the measured programs on the node."""

from worker_images.node.node import Node
from worker_images.node.spec import PATH


def native_command(node: Node, *words: str) -> list[str]:
    """Return a command with no more variables than in a sandbox, such as no LD_PRELOAD."""
    variables = node.native_environment if node.libraries else [f"PATH={PATH}"]
    return ["env", "-i", *variables, *words]
