"""What sources offer and what is proposed of it, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from worker_images.model.document import Location


class Verdict(StrEnum):
    """What becomes of a newer version."""

    OFFERED = "offered"
    TOO_YOUNG = "too young"
    HELD = "held"
    REFUSED = "refused"


@dataclass(frozen=True)
class Contract:
    """The NVIDIA drivers that a runsc serves, and those that it only knows."""

    supported: frozenset[str]
    known: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Offer:
    """A newer version of one component, as its sources tell it.

    `fault` says why a digest that the pin needs cannot be had.
    """

    version: str
    published: datetime | None = None
    size: int | None = None
    digest: str = ""
    vendor: str = ""
    release: str = ""
    fault: str = ""
    contract: Contract | None = None


@dataclass(frozen=True)
class Change:
    """One scalar of versions.yaml."""

    location: Location
    old: str
    new: str


@dataclass(frozen=True)
class Proposal:
    """One newer version with its verdict; `changes` are all pins that move together."""

    component: str
    group: str
    current: str
    version: str
    published: datetime | None
    size: int | None
    verdict: Verdict
    reason: str = ""
    gains: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What nobody is asked: which drivers gVisor releases serve, which CUDA release a wheel is,
    which driver a CUDA needs at least.
    """

    releases: Mapping[str, Contract]
    runsc: Mapping[str, str]
    runtimes: Mapping[str, str]
    floors: Mapping[str, str]


@dataclass(frozen=True)
class Policy:
    """What the reader asked for."""

    today: date
    cool_down: int = 7
    major: bool = False
