"""A linter for the OCI specification of a GPU container."""

from dataclasses import astuple, dataclass

from worker_images.node.lint.finding import ERROR, NOTE, WARNING
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.lint.rules.rules import RULES

__all__ = ["ERROR", "NOTE", "RULES", "WARNING", "Finding", "findings", "violations"]


@dataclass(frozen=True)
class Finding:
    """A finding: the rule, its severity, the place in the specification, the problem, the step."""

    rule: str
    severity: str
    where: str
    problem: str
    step: str


def findings(request: LaunchRequest) -> tuple[Finding, ...]:
    """Return everything that the rules report, in the order of the rules."""
    return tuple(
        Finding(rule.name, *astuple(found)) for rule in RULES for found in rule.check(request)
    )


def violations(request: LaunchRequest) -> tuple[Finding, ...]:
    """Return the errors and warnings."""
    return tuple(found for found in findings(request) if found.severity != NOTE)
