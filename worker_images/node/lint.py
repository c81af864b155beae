"""What is wrong with the specification of a GPU container, before it is run."""

from collections.abc import Callable
from dataclasses import dataclass

from worker_images.docstrings import summary
from worker_images.node import rules
from worker_images.node.launch import Launch
from worker_images.node.rules import Found


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong: by which rule, where in the specification, what, and what to do."""

    rule: str
    where: str
    problem: str
    step: str


@dataclass(frozen=True)
class Rule:
    """A rule by its name in docs/launcher.md; `words` say what it asks."""

    name: str
    look: Callable[[Launch], Found]

    @property
    def words(self) -> str:
        """The first line of its function's documentation."""
        return summary(self.look.__doc__ or "")


RULES = (
    Rule("F3", rules.forced_abi),
    Rule("F4", rules.libcuda),
    Rule("F5", rules.found_by_loader),
    Rule("F6", rules.capabilities),
    Rule("F7", rules.device_numbers),
    Rule("F8", rules.hooks),
    Rule("F9", rules.visible_devices),
    Rule("F10", rules.gpu_count),
    Rule("F11", rules.runsc_binary),
    Rule("F12", rules.sockets),
)


def violations(launch: Launch) -> tuple[Violation, ...]:
    """Everything that is wrong, by rule."""
    return tuple(Violation(rule.name, *found) for rule in RULES for found in rule.look(launch))
