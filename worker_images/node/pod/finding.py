"""What a check of a pod saw, and what is wrong with it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What a check saw, and its problem: the cause and the next step, empty if it passes."""

    seen: str
    problem: str = ""


def join(seen: str, problems: list[str]) -> Finding:
    """A finding with several problems, without repetitions."""
    return Finding(seen, "; ".join(dict.fromkeys(problems)))
