"""What a rule of the linter reports, and how serious it is."""

from collections.abc import Iterator
from dataclasses import dataclass

ERROR, WARNING, NOTE = "error", "warning", "note"


@dataclass(frozen=True)
class Problem:
    """A problem: its severity, the place in the specification, the cause and the next step.

    An error fails. A warning may surprise. A note is something that runsc handles or leaves out.
    """

    severity: str
    where: str
    problem: str
    step: str


Problems = Iterator[Problem]


def error(where: str, problem: str, step: str) -> Problem:
    """Return a problem with which the container or its GPU fails."""
    return Problem(ERROR, where, problem, step)


def warning(where: str, problem: str, step: str) -> Problem:
    """Return a problem that may surprise."""
    return Problem(WARNING, where, problem, step)


def note(where: str, problem: str, step: str) -> Problem:
    """Return a fact that needs no change."""
    return Problem(NOTE, where, problem, step)
