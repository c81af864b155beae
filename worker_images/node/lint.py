"""A linter for the OCI specification of a GPU container."""

from collections.abc import Callable
from dataclasses import dataclass

from worker_images.docstrings import summary
from worker_images.node import rules
from worker_images.node.launch_request import LaunchRequest
from worker_images.node.rules import Problems


@dataclass(frozen=True)
class Violation:
    """A violation: the rule, the place in the specification, the problem and the next step."""

    rule: str
    where: str
    problem: str
    step: str


@dataclass(frozen=True)
class Rule:
    """A rule: its name in docs/launcher.md, and the function that checks it."""

    name: str
    check: Callable[[LaunchRequest], Problems]

    @property
    def description(self) -> str:
        """The first line of the function's docstring."""
        return summary(self.check.__doc__ or "")


RULES = (
    Rule("F3", rules.forced_abi),
    Rule("F4", rules.libcuda),
    Rule("F5", rules.library_path),
    Rule("F6", rules.capabilities),
    Rule("F7", rules.device_numbers),
    Rule("F8", rules.hooks),
    Rule("F9", rules.visible_devices),
    Rule("F10", rules.gpu_count),
    Rule("F11", rules.runsc_binary),
    Rule("F12", rules.sockets),
)


def violations(request: LaunchRequest) -> tuple[Violation, ...]:
    """Return all violations, in the order of the rules."""
    return tuple(Violation(rule.name, *found) for rule in RULES for found in rule.check(request))
