"""The rules of the linter, in the order of docs/launcher.md."""

from collections.abc import Callable
from dataclasses import dataclass

from worker_images.docstrings import summary
from worker_images.node import (
    binary,
    device_rules,
    flag_rules,
    hook_rules,
    library_rules,
    mount_rules,
    specification_rules,
)
from worker_images.node.finding import Problems, error
from worker_images.node.launch_request import LaunchRequest


@dataclass(frozen=True)
class Rule:
    """A rule: its name in docs/launcher.md, and the function that checks it."""

    name: str
    check: Callable[[LaunchRequest], Problems]

    @property
    def description(self) -> str:
        """The first line of the function's docstring."""
        return summary(self.check.__doc__ or "")


def runsc_binary(request: LaunchRequest) -> Problems:
    """runsc is built for this machine, executable by all users, and has its helper programs."""
    for problem, step in binary.problems(request.runsc) if request.runsc else ():
        yield error("runsc", problem, step)


RULES = (
    Rule("F3", flag_rules.forced_abi),
    Rule("F4", library_rules.libcuda),
    Rule("F5", library_rules.library_path),
    Rule("F6", hook_rules.capabilities),
    Rule("F7", device_rules.device_numbers),
    Rule("F8", hook_rules.hooks),
    Rule("F9", hook_rules.visible_devices),
    Rule("F10", hook_rules.gpu_count),
    Rule("F11", runsc_binary),
    Rule("F12", mount_rules.sockets),
    Rule("F13", device_rules.foreign_nodes),
    Rule("F14", specification_rules.specification),
)
