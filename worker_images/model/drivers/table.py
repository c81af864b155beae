"""gVisor's releases and the NVIDIA drivers that each takes: the one reader of drivers.json."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

# The component that drivers are asked of, and its table.
COMPONENT = "gvisor"
DRIVERS = f"images/components/{COMPONENT}/drivers.json"
SUPPORTED, KNOWN, UNKNOWN = "supported", "known", "unknown"


@dataclass(frozen=True)
class Release:
    """A release of gVisor: the drivers that it serves, and those that it only knows, oldest
    first.
    """

    name: str
    supported: tuple[str, ...]
    known: tuple[str, ...] = ()

    def status(self, driver: str) -> str:
        """Whether the driver is supported, known (served with --nvproxy-allow-unsupported-driver
        alone) or unknown.
        """
        return SUPPORTED if driver in self.supported else KNOWN if driver in self.known else UNKNOWN


@dataclass(frozen=True)
class Span:
    """Releases in a row, first to last, that answer alike.

    `begin` is the first one's place in the table.
    """

    status: str
    begin: int
    releases: tuple[Release, ...]

    @property
    def first(self) -> str:
        """The name of the first."""
        return self.releases[0].name

    @property
    def last(self) -> str:
        """The name of the last."""
        return self.releases[-1].name


@dataclass(frozen=True)
class Table:
    """Every release that is written down, oldest first."""

    releases: tuple[Release, ...] = ()

    def __iter__(self) -> Iterator[Release]:
        """Go through the releases, oldest first."""
        return iter(self.releases)

    def get(self, name: str) -> Release | None:
        """The release of that name, where it is written down."""
        return next((each for each in self if each.name == name), None)

    @property
    def newest(self) -> str:
        """The name of the newest release."""
        return self.releases[-1].name

    @property
    def drivers(self) -> tuple[str, ...]:
        """Every driver that a release serves or knows, oldest first."""
        return ordered({driver for each in self for driver in (*each.supported, *each.known)})

    def serving(self, *drivers: str) -> tuple[Release, ...]:
        """The releases that serve all of these drivers, oldest first."""
        return tuple(each for each in self if set(drivers) <= set(each.supported))

    def spans(self, driver: str) -> tuple[Span, ...]:
        """What became of a driver, release by release."""
        rows = groupby(enumerate(self), key=lambda pair: pair[1].status(driver))
        runs = [(status, list(pairs)) for status, pairs in rows]
        return tuple(
            Span(status, pairs[0][0], tuple(each for _, each in pairs)) for status, pairs in runs
        )


def read(path: Path) -> Table:
    """Read drivers.json, of which a test holds the form."""
    return of(json.loads(path.read_text())["releases"])


def of(rows: Mapping[str, Mapping[str, Iterable[str]]]) -> Table:
    """A table of plain data, in whatever order it is written."""
    names = ordered(rows)
    return Table(
        tuple(
            Release(name, ordered(rows[name]["supported"]), ordered(rows[name]["known"]))
            for name in names
        )
    )


def ordered(versions: Iterable[str]) -> tuple[str, ...]:
    """Versions, oldest first."""
    return tuple(sorted(versions, key=order))


@cache
def order(version: str) -> tuple[int, ...]:
    """A version as numbers, so that 20260209.10 follows 20260209.2, and 535.104.05 follows
    535.54.03.
    """
    return tuple(int(part) for part in version.split("."))
