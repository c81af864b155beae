"""What the sources of gVisor offer and what is proposed of it, as frozen values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from worker_images.model.document import Location
from worker_images.model.drivers.table import Release, Table

PSEUDO = re.compile(r"v0\.0\.0-([0-9]{14})-([0-9a-f]{12})")


class Verdict(StrEnum):
    """What becomes of a newer commit."""

    OFFERED = "offered"
    COOLING = "cooling down"
    HELD = "held"
    REFUSED = "refused"


@dataclass(frozen=True)
class Offer:
    """A newer commit of gVisor's go branch, as the module proxy and the bucket describe it.

    `unanswered` is what a source did not give.
    """

    version: str
    published: datetime | None = None
    size: int | None = None
    drivers: Release | None = None
    release: str = ""
    sha512: str = ""
    unanswered: str = ""


@dataclass(frozen=True)
class Change:
    """One scalar of versions.yaml."""

    location: Location
    old: str
    new: str


@dataclass(frozen=True)
class Proposal:
    """A newer commit with its verdict; `changes` are the pins that move together."""

    current: str
    version: str
    published: datetime | None
    size: int | None
    verdict: Verdict
    reason: str = ""
    unanswered: bool = False
    gains: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Facts:
    """The tables beside the component: the drivers of each release, and the SHA-512 of its
    runsc.
    """

    releases: Table
    sha512: Mapping[str, str]


@dataclass(frozen=True)
class Policy:
    """How old a commit must be."""

    today: date
    cool_down: int = 7


def date_of(version: str) -> str:
    """The time of a commit, as its pseudo-version holds it; empty for another version."""
    match = PSEUDO.fullmatch(version)
    return match[1] if match else ""
