"""The commands that run the measured programs on the node."""

from pathlib import Path

from worker_images.node.node import Node, folders
from worker_images.node.spec import PATH


def native_command(node: Node, *words: str, gpu: str = "") -> list[str]:
    """Return a command with the variables of a sandbox alone, so for example without LD_PRELOAD.

    `gpu` is the index by nvidia-smi of the only GPU that the program sees.
    """
    path = ":".join(filter(None, (folders(node.programs), PATH)))
    # runsc sets HOME as the user's root says.
    variables = {"PATH": path, "HOME": str(Path.home())}
    if node.libraries:
        variables["LD_LIBRARY_PATH"] = folders(node.libraries)
    if gpu:
        variables |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": gpu}
    return ["env", "-i", *(f"{name}={value}" for name, value in variables.items()), *words]
