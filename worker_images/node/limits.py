"""Limits of a user's container: memory, processors and processes."""

import re
from dataclasses import dataclass
from typing import Any

UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
SIZE = re.compile(r"(?P<number>[0-9]+)(?P<unit>[bkmg]?)")
CPUS = re.compile(r"[0-9]+(\.[0-9]+)?")
# What the kernel accepts: the smallest quota is one hundredth of this period.
PERIOD_MICROSECONDS = 100_000
LEAST_CPUS = 0.01
# Threads of the machine for a sandbox: runsc has about 20, and each process two. Without another
# thread runsc ends, and the whole sandbox with it, so the control group's limit is a second one.
OWN_THREADS, THREADS_OF_PROCESS = 100, 4


@dataclass(frozen=True)
class Limits:
    """Limits of one container; 0 is unlimited."""

    memory: int = 0
    cpus: float = 0.0
    processes: int = 0

    def __bool__(self) -> bool:
        """Whether there is a limit."""
        return bool(self.memory or self.cpus or self.processes)

    @property
    def resources(self) -> dict[str, Any]:
        """The control group's limits: linux.resources."""
        found: dict[str, Any] = {}
        if self.memory:
            found["memory"] = {"limit": self.memory}
        if self.cpus:
            quota = round(self.cpus * PERIOD_MICROSECONDS)
            found["cpu"] = {"quota": quota, "period": PERIOD_MICROSECONDS}
        if self.processes:
            found["pids"] = {"limit": OWN_THREADS + THREADS_OF_PROCESS * self.processes}
        return found

    @property
    def rlimits(self) -> list[dict[str, Any]]:
        """The limits that gVisor's kernel keeps, for each user of the container."""
        if not self.processes:
            return []
        return [{"type": "RLIMIT_NPROC", "soft": self.processes, "hard": self.processes}]


def size(text: str) -> int:
    """Parse a number of bytes with a unit, such as 512m; raises ValueError."""
    found = SIZE.fullmatch(text.lower())
    if not found or not (number := int(found["number"])):
        raise ValueError(f"{text!r} is not a size such as 512m or 2g")
    return number * UNITS[found["unit"]]


def cpus(text: str) -> float:
    """Parse a number of processors, such as 1.5; raises ValueError."""
    if not CPUS.fullmatch(text) or float(text) < LEAST_CPUS:
        raise ValueError(f"{text!r} is not a number of processors such as 0.5 or 2")
    return float(text)


def processes(text: str) -> int:
    """Parse a number of processes; raises ValueError."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ValueError(f"{text!r} is not a number of processes such as 200")
    return int(text)
