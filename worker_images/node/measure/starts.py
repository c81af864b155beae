"""Measures how long programs take to start: on the node and in sandboxes, in turns."""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from worker_images.node.measure import page_cache
from worker_images.node.place import CommandResult, PlaceError

WARM, COLD = "warm", "cold"
# More than this part of a program's files in memory is not a cold page cache.
MOST_RESIDENT = 0.05

Log = Callable[[str], None]
Side = Callable[[], CommandResult]


@dataclass(frozen=True)
class Start:
    """One start: seconds until the program was ready, and from its launch to its end.

    `resident` is the part of its files in the page cache before.
    """

    inside: float
    whole: float
    resident: float = 1.0


@dataclass(frozen=True)
class Case:
    """What is started, with which page cache, on which sides; the first one is the reference.

    `files` are those that the program opens. Without the sides in `needed` the others show nothing.
    """

    name: str
    cache: str
    sides: Mapping[str, Side]
    files: tuple[Path, ...] = ()
    needed: tuple[str, ...] = ()


@dataclass
class Rounds:
    """The starts of a case: of each side, one for each round."""

    case: Case
    starts: dict[str, list[Start]] = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.starts = {name: [] for name in self.case.sides}

    @property
    def count(self) -> int:
        """How many rounds are complete."""
        return min(map(len, self.starts.values()))

    def add(self) -> None:
        """Start each side once, in the other order than in the round before; raises PlaceError."""
        begin = time.monotonic()
        names = list(self.case.sides)
        for name in names if self.count % 2 == 0 else names[::-1]:
            self.starts[name].append(_start(self.case, name))
        self.seconds = time.monotonic() - begin

    def inside(self, name: str) -> tuple[float, ...]:
        """The seconds until the program was ready, one for each round."""
        return tuple(start.inside for start in self.starts[name])

    def ratio(self, name: str, value: str) -> float:
        """The ratio of a side's median to that of the first; `value` is inside or whole."""
        reference = self.median(next(iter(self.starts)), value)
        return self.median(name, value) / reference if reference else 0.0

    def median(self, name: str, value: str) -> float:
        """The median of a side's values."""
        values: list[float] = [getattr(start, value) for start in self.starts[name]]
        return statistics.median(values)


def _start(case: Case, name: str) -> Start:
    resident = 1.0
    if case.cache == COLD:
        how = page_cache.empty(case.files)
        resident = page_cache.resident(case.files)
        if resident > MOST_RESIDENT:
            raise PlaceError(
                f"{case.name}: {resident:.0%} of its files are still in memory after {how}; end"
                " programs that use them, or run as root"
            )
    begin = time.perf_counter()
    result = case.sides[name]()
    whole = time.perf_counter() - begin
    if result.status:
        raise PlaceError(f"{case.name}, {name}: {result.errors.strip()[-500:]}")
    inside = json.loads(result.output)["seconds"] if result.output.strip() else whole
    return Start(inside, whole, resident)


def measure(cases: Sequence[Case], rounds: int, seconds: float, log: Log) -> list[Rounds]:
    """Measure the cases in rounds, until each has as many, or the next would end too late.

    A side of the warm cases is started once before, so that all its files are in memory. A side
    that does not start then is left out, and a case that fails later. Raises PlaceError if it is a
    side that the case needs.
    """
    end = time.monotonic() + seconds
    found = [Rounds(case) for case in _working(cases, log)]
    for number in range(rounds):
        for each in list(found):
            if time.monotonic() + each.seconds > end:
                continue
            try:
                each.add()
            except PlaceError as error:
                log(f"not run: {error}")
                found.remove(each)
            else:
                log(
                    f"{each.case.name}, {each.case.cache}: round {number + 1}, {each.seconds:.0f} s"
                )
    return [each for each in found if each.count]


def _working(cases: Sequence[Case], log: Log) -> list[Case]:
    """Return the cases without the sides that do not start; with a warm cache each is tried."""
    broken = set()
    for case in cases:
        for name in case.sides if case.cache == WARM else ():
            try:
                _start(case, name)
            except PlaceError as error:
                if name in case.needed:
                    raise
                log(f"left out: {error}")
                broken.add((case.name, name))
    return [
        replace(
            case,
            sides={
                name: case.sides[name] for name in case.sides if (case.name, name) not in broken
            },
        )
        for case in cases
    ]


def text(measured: Sequence[Rounds]) -> str:
    """Return a table: medians, their spread, and ratios to the first side."""
    head = f"{'program':13} {'cache':5} {'side':14} {'rounds':>6} {'inside s':>9} {'least':>7}"
    lines = [f"{head} {'most':>7} {'ratio':>6} {'whole s':>8} {'ratio':>6}"]
    for each in measured:
        for name, starts in each.starts.items():
            inside = each.inside(name)
            lines.append(
                f"{each.case.name:13} {each.case.cache:5} {name:14} {len(starts):6}"
                f" {each.median(name, 'inside'):9.3f} {min(inside):7.3f} {max(inside):7.3f}"
                f" {each.ratio(name, 'inside'):6.2f} {each.median(name, 'whole'):8.3f}"
                f" {each.ratio(name, 'whole'):6.2f}"
            )
    return "\n".join(lines)


def as_json(measured: Sequence[Rounds]) -> str:
    """Return all values as JSON."""
    rows = [
        {
            "program": each.case.name,
            "cache": each.case.cache,
            "side": name,
            "inside": each.inside(name),
            "whole": [start.whole for start in starts],
            "resident": [start.resident for start in starts],
            "ratio": each.ratio(name, "inside"),
        }
        for each in measured
        for name, starts in each.starts.items()
    ]
    return json.dumps({"starts": rows}, indent=1) + "\n"
