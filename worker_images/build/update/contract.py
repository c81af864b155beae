"""The driver contract of a runsc: what a release or a commit serves, and what a bump would gain and
lose.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from worker_images.build.update.order import numbers
from worker_images.build.update.values import Contract
from worker_images.errors import NoAnswerError
from worker_images.model.drivers import table as drivertable

SOURCE = "pkg/sentry/devices/nvproxy/version.go"
CALL = re.compile(
    r"\badd(Unsupported)?DriverABI\(\s*([0-9]{1,9}),\s*([0-9]{1,9}),\s*([0-9]{1,9})\b"
)


def table(path: Path) -> dict[str, Contract]:
    """gVisor's releases, oldest first."""
    return {
        release.name: Contract(frozenset(release.supported), frozenset(release.known))
        for release in drivertable.read(path)
    }


def of_source(text: str) -> Contract:
    """The drivers that version.go names; raises NoAnswerError where it names none."""
    found: dict[str, set[str]] = {"": set(), "Unsupported": set()}
    for unsupported, major, minor, patch in CALL.findall(text):
        found[unsupported].add(f"{int(major)}.{int(minor):02}.{int(patch):02}")
    if not found[""]:
        raise NoAnswerError(f"{SOURCE} in its archive names no driver")
    return Contract(frozenset(found[""]), frozenset(found["Unsupported"]))


def in_order(drivers: frozenset[str]) -> tuple[str, ...]:
    """Drivers, oldest first."""
    return tuple(sorted(drivers, key=numbers))


def before(releases: Mapping[str, Contract], moment: datetime) -> list[str]:
    """The releases of a day and all days before, newest first."""
    day = int(moment.strftime("%Y%m%d"))
    return sorted((name for name in releases if numbers(name)[0] <= day), key=numbers, reverse=True)


def matching(commit: Contract, moment: datetime, releases: Mapping[str, Contract]) -> str:
    """The newest release up to a commit that serves the same drivers; empty where none does."""
    return next(
        (name for name in before(releases, moment) if releases[name].supported == commit.supported),
        "",
    )


def keeping(drivers: Sequence[str], moment: datetime, releases: Mapping[str, Contract]) -> str:
    """The newest release up to a commit that serves all these drivers; empty where none does."""
    return next(
        (name for name in before(releases, moment) if releases[name].supported >= set(drivers)), ""
    )
