"""One bar: what was measured, as a ratio against a named peer or limit; how commands are timed."""

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from worker_images.files import ROOT

# A Python that imports modules of the standard library, and its processor seconds on the machine
# for which limits in seconds are written down.
START = (
    sys.executable,
    "-I",
    "-c",
    "import argparse, email.message, json, subprocess, tarfile, unittest, urllib.request",
)
START_SECONDS = 0.07
ROUNDS = 9
Timer = Callable[[Sequence[str], Mapping[str, str] | None], float]


@dataclass(frozen=True)
class Bar:
    """A value and the most that it may be."""

    name: str
    value: float
    limit: float
    unit: str
    against: str

    @property
    def ratio(self) -> float:
        """At most 1 where the bar holds."""
        return self.value / self.limit

    @property
    def holds(self) -> bool:
        return self.ratio <= 1

    def __str__(self) -> str:
        return (
            f"{'ok' if self.holds else 'OVER':4} {self.ratio:5.2f}  {self.name:22}"
            f" {self.value:8.2f} of {self.limit:.2f} {self.unit}: {self.against}"
        )

    @property
    def row(self) -> dict[str, object]:
        """The bar as JSON has it."""
        return {**vars(self), "ratio": round(self.ratio, 3), "holds": self.holds}


def seconds(command: Sequence[str], environment: Mapping[str, str] | None = None) -> float:
    """Wall time of a command that must succeed."""
    begun = time.monotonic()
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return time.monotonic() - begun


def processor_seconds(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> float:
    """Processor time of a command: a busy machine changes it little, and waiting is left out."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds(command, environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def in_turns(
    *commands: Sequence[str],
    timer: Timer = seconds,
    environment: Mapping[str, str] | None = None,
) -> tuple[float, ...]:
    """The least time of each command; one after the other, so that a busy moment meets all."""
    rounds = [[timer(command, environment) for command in commands] for _ in range(ROUNDS)]
    return tuple(min(column) for column in zip(*rounds, strict=True))


def calibrated(limit: float, start: float) -> tuple[float, str]:
    """A limit in seconds for a machine on which START takes `start`; what the limit comes from."""
    words = f"{limit} s where Python starts in {START_SECONDS} s; here in {start:.3f} s"
    return limit * start / START_SECONDS, words
