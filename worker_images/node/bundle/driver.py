"""Checks the node's driver before bundle writes its files into a specification."""

from worker_images.model.drivers.advice import UNSERVABLE
from worker_images.model.drivers.kernel import VERSION
from worker_images.node.node import Node
from worker_images.node.selection import SpecError


def check(this_node: Node) -> None:
    """Raise SpecError for a node whose GPUs a sandbox cannot use."""
    why, step = UNSERVABLE.get(this_node.kind, ("", ""))
    if why:
        what = f"driver {this_node.driver} is " if this_node.driver else ""
        raise SpecError(f"{what}{why}; {step}, or use --gpus none")
    if this_node.libraries:
        return
    further = "run: python3 -m worker_images.node verify --node"
    if not this_node.driver:
        raise SpecError(f"no NVIDIA driver on this node: {VERSION} does not exist; {further}")
    cuda = f"libcuda.so.{this_node.driver}"
    if broken := next((each for each in this_node.others if each.name == cuda), None):
        raise SpecError(
            f"{broken} is no library of this machine, such as an empty mount point: remove it and"
            f" install the driver's file, or name the driver's root with --driver-root; {further}"
        )
    others = ", ".join(map(str, this_node.others))
    found = (
        f"the kernel's driver is {this_node.driver}, only {others} was found: name the driver's"
        " root with --driver-root, or restart the node if the driver was updated"
        if others
        else "docs/launcher.md lists the places that are searched; name another with --driver-root"
    )
    raise SpecError(f"no {cuda} on this node; {found}; {further}")
