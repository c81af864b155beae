"""The rules of the linter, in the order of docs/launcher.md."""

from collections.abc import Callable
from dataclasses import dataclass

from worker_images.docstrings import summary
from worker_images.node.lint import binary
from worker_images.node.lint.finding import Problems, error
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.lint.rules import devices, flags, hooks, libraries, mounts, specification


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
    Rule("F3", flags.forced_abi),
    Rule("F4", libraries.libcuda),
    Rule("F5", libraries.library_path),
    Rule("F6", hooks.capabilities),
    Rule("F7", devices.device_numbers),
    Rule("F8", hooks.hooks),
    Rule("F9", hooks.visible_devices),
    Rule("F10", hooks.gpu_count),
    Rule("F11", runsc_binary),
    Rule("F12", mounts.sockets),
    Rule("F13", devices.foreign_nodes),
    Rule("F14", specification.specification),
)
