"""The drivers of a gVisor commit, and the release that serves the same drivers."""

import re
from collections.abc import Collection
from datetime import datetime

from worker_images.errors import NoResponseError
from worker_images.model.drivers.table import Release, Table, ordered

SOURCE = "pkg/sentry/devices/nvproxy/version.go"
CALL = re.compile(
    r"\badd(Unsupported)?DriverABI\(\s*([0-9]{1,9}),\s*([0-9]{1,9}),\s*([0-9]{1,9})\b"
)


def of_source(version: str, text: str) -> Release:
    """Return the drivers that version.go registers; raises NoResponseError if there are none."""
    found: dict[str, set[str]] = {"": set(), "Unsupported": set()}
    for unsupported, major, minor, patch in CALL.findall(text):
        found[unsupported].add(f"{int(major)}.{int(minor):02}.{int(patch):02}")
    if not found[""]:
        raise NoResponseError(f"{SOURCE} in its archive registers no driver")
    return Release(version, ordered(found[""]), ordered(found["Unsupported"]))


def before(releases: Table, moment: datetime) -> list[Release]:
    """Return the releases up to the day of a moment, newest first."""
    day = int(moment.strftime("%Y%m%d"))
    return [each for each in reversed(tuple(releases)) if int(each.name.split(".")[0]) <= day]


def matching(commit: Release, moment: datetime, releases: Table) -> str:
    """Return the newest release up to a commit with the same drivers; empty without one."""
    rows = before(releases, moment)
    return next((each.name for each in rows if each.supported == commit.supported), "")


def keeping(drivers: Collection[str], moment: datetime, releases: Table) -> str:
    """Return the newest release up to a commit that serves all these drivers; empty without one."""
    rows = before(releases, moment)
    return next((each.name for each in rows if set(drivers) <= set(each.supported)), "")
