"""Frozen values: commits that the sources offer, and proposals made from them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from worker_images.model.document import Location
from worker_images.model.drivers.table import Release, Table
from worker_images.model.tree import Tree

CHECKSUMS = "images/components/gvisor/checksums.json"
PSEUDO_VERSION = re.compile(r"v0\.0\.0-([0-9]{14})-([0-9a-f]{12})")


class Verdict(StrEnum):
    """The verdict on a newer commit."""

    OFFERED = "offered"
    COOLING = "cooling down"
    HELD = "held"
    REFUSED = "refused"


@dataclass(frozen=True)
class Offer:
    """A newer commit of gVisor's go branch, as the module proxy and the bucket describe it.

    `error` is the message of a source that failed.
    """

    version: str
    published: datetime | None = None
    size: int | None = None
    drivers: Release | None = None
    release: str = ""
    sha512: str = ""
    error: str = ""


@dataclass(frozen=True)
class Change:
    """One changed scalar of versions.yaml."""

    location: Location
    old: str
    new: str


@dataclass(frozen=True)
class Proposal:
    """A newer commit with its verdict; `changes` are the pins to change together."""

    current: str
    version: str
    published: datetime | None
    size: int | None
    verdict: Verdict
    reason: str = ""
    source_failed: bool = False
    gains: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Facts:
    """The drivers of each release, and the SHA-512 of its runsc, from gVisor's component folder."""

    releases: Table
    sha512: Mapping[str, str]

    @classmethod
    def read(cls, root: Path, releases: Table) -> Self:
        """Read the checksums of a checkout or a project."""
        checksums = json.loads(Tree(root).find(CHECKSUMS).read_text())["runsc_sha512"]
        return cls(releases, {release: row["amd64"] for release, row in checksums.items()})


@dataclass(frozen=True)
class Policy:
    """How old a commit must be to be offered."""

    today: date
    cool_down: int = 7


def date_of(version: str) -> str:
    """Return the time of a commit from its pseudo-version; empty for another version."""
    match = PSEUDO_VERSION.fullmatch(version)
    return match[1] if match else ""
