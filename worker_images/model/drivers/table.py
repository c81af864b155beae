"""drivers.json: gVisor's releases and the NVIDIA drivers that each serves."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import groupby
from pathlib import Path

# The component that serves drivers, and its table.
COMPONENT = "gvisor"
DRIVERS = f"images/components/{COMPONENT}/drivers.json"
SUPPORTED, KNOWN, UNKNOWN = "supported", "known", "unknown"
# The drivers of the fleet in versions.yaml, which nodes read without a YAML parser.
PINS = "versions.yaml"
FLEET = re.compile(
    r"^fleet:[^\n]*\n(?:(?:[ #][^\n]*)?\n){0,99}?  drivers: *\[([^\]]*)\]", re.MULTILINE
)
ALLOWED = re.compile(r'\{ *driver: *"([^"\n]*)"')
QUOTED = re.compile(r'"([^"\n]*)"')


@dataclass(frozen=True)
class Release:
    """A release of gVisor, the drivers that it serves, and those that it knows, oldest first."""

    name: str
    supported: tuple[str, ...]
    known: tuple[str, ...] = ()

    def status(self, driver: str) -> str:
        """SUPPORTED, KNOWN or UNKNOWN.

        A known driver is served only with --nvproxy-allow-unsupported-driver.
        """
        name = full(driver)
        return SUPPORTED if name in self.supported else KNOWN if name in self.known else UNKNOWN


@dataclass(frozen=True)
class Span:
    """Consecutive releases, oldest first, with the same status for a driver.

    `begin` is the position of the first one in the table.
    """

    status: str
    begin: int
    releases: tuple[Release, ...]

    @property
    def first(self) -> str:
        """The name of the first release."""
        return self.releases[0].name

    @property
    def last(self) -> str:
        """The name of the last release."""
        return self.releases[-1].name


@dataclass(frozen=True)
class Table:
    """All releases of drivers.json, oldest first.

    `not_built_for` has the drivers that NVIDIA does not publish for an architecture, by its name.
    `fleet` are the drivers that every release must serve; empty if they are not known.
    """

    releases: tuple[Release, ...] = ()
    not_built_for: Mapping[str, frozenset[str]] = field(default_factory=dict)
    fleet: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Release]:
        """Iterate over the releases, oldest first."""
        return iter(self.releases)

    def get(self, name: str) -> Release | None:
        """The release with a name; None if the table does not have it."""
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
        names = {full(driver) for driver in drivers}
        return tuple(each for each in self if names <= set(each.supported))

    def exists(self, driver: str, architecture: str) -> bool:
        """Whether NVIDIA publishes a driver for an architecture, amd64 or arm64."""
        return full(driver) not in self.not_built_for.get(architecture, ())

    def spans(self, driver: str) -> tuple[Span, ...]:
        """The releases grouped by their status for a driver."""
        rows = groupby(enumerate(self), key=lambda pair: pair[1].status(driver))
        runs = [(status, list(pairs)) for status, pairs in rows]
        return tuple(
            Span(status, pairs[0][0], tuple(each for _, each in pairs)) for status, pairs in runs
        )


def read(path: Path, pins: Path | None = None) -> Table:
    """Read drivers.json, and the fleet's drivers in versions.yaml, by default of the same checkout.

    A test checks the format of drivers.json.
    """
    written = json.loads(path.read_text())
    marked = written.get("not_built_for", {})
    absent = {name: frozenset(drivers) for name, drivers in marked.items()}
    fleet = _fleet(pins or path.parent / "../../.." / PINS)
    return replace(of(written["releases"]), not_built_for=absent, fleet=fleet)


def _fleet(path: Path) -> tuple[str, ...]:
    """The drivers that the fleet needs; empty if versions.yaml is absent or written otherwise."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return ()
    found = FLEET.search(text)
    allowed = set(ALLOWED.findall(text))
    return tuple(each for each in QUOTED.findall(found[1]) if each not in allowed) if found else ()


def full(driver: str) -> str:
    """A driver's version in three parts: gVisor reads a missing third part as 00."""
    return f"{driver}.00" if driver.count(".") == 1 else driver


def of(rows: Mapping[str, Mapping[str, Iterable[str]]]) -> Table:
    """A table from plain data in any order."""
    names = ordered(rows)
    return Table(
        tuple(
            Release(name, ordered(rows[name]["supported"]), ordered(rows[name]["known"]))
            for name in names
        )
    )


def ordered(versions: Iterable[str]) -> tuple[str, ...]:
    """Versions sorted by number, oldest first."""
    return tuple(sorted(versions, key=order))


@cache
def order(version: str) -> tuple[int, ...]:
    """A version as numbers: 20260209.10 sorts after 20260209.2, 535.104.05 after 535.54.03."""
    return tuple(int(part) for part in version.split("."))
