"""The NVIDIA drivers that the pinned gVisor release and all other releases serve."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from worker_images.model.drivers.table import Release, Table, ordered
from worker_images.model.project import Project


@dataclass(frozen=True)
class Span:
    """Consecutive releases that all serve or all refuse a driver, from release number `begin`."""

    served: bool
    first: str
    last: str
    begin: int
    count: int


@dataclass(frozen=True)
class Drivers:
    """The drivers of the pinned gVisor release, and the fleet's drivers in all releases.

    `refused` are drivers that the release knows or the fleet has, and the release does not serve.
    """

    release: str
    releases: tuple[str, ...]
    served: tuple[str, ...]
    refused: tuple[str, ...]
    fleet: Mapping[str, tuple[Span, ...]]


def of_project(project: Project) -> Drivers:
    """Return what the pinned release and all others serve."""
    name, fleet, found = project.release, project.pins.fleet.drivers, project.table
    # A release that the table lacks is shown as serving no driver.
    release = found.get(name) or Release(name, ())
    known = found if found.get(name) else Table((*found, release))
    return Drivers(
        release=name,
        releases=tuple(each.name for each in known),
        served=release.supported,
        refused=ordered({*release.known, *fleet} - {*release.supported}),
        fleet={driver: _spans(driver, known) for driver in fleet},
    )


def _spans(driver: str, known: Table) -> tuple[Span, ...]:
    spans = []
    begin = 0
    for served, group in itertools.groupby(known, key=lambda each: driver in each.supported):
        names = [release.name for release in group]
        spans.append(Span(served, names[0], names[-1], begin, len(names)))
        begin += len(names)
    return tuple(spans)
