"""The queries of build.py compat: which releases serve which drivers, as data and as text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from worker_images.model.drivers.advice import suggested_fixes, why
from worker_images.model.drivers.fleet import Node
from worker_images.model.drivers.table import SUPPORTED, Release, Table, ordered
from worker_images.model.drivers.version import near


@dataclass(frozen=True)
class Pinned:
    """The release and the fleet's drivers in versions.yaml.

    `allowed` are the drivers that need not be served, each with its reason.
    """

    release: str
    fleet: tuple[str, ...]
    allowed: Mapping[str, str] = field(default_factory=dict)

    @property
    def required(self) -> tuple[str, ...]:
        """The fleet's drivers that a release must serve."""
        return tuple(driver for driver in self.fleet if driver not in self.allowed)


@dataclass(frozen=True)
class CompatResult:
    """The result of a query as data and as text.

    `error` is one line if a driver is not served, empty otherwise.
    """

    data: Mapping[str, object]
    text: str
    error: str = ""


def drivers(names: Sequence[str], release: Release, table: Table, pinned: Pinned) -> CompatResult:
    """Return the releases that serve all of these drivers, and whether `release` does."""
    serving = [each.name for each in reversed(table.serving(*names))]
    missing = [driver for driver in names if release.status(driver) != SUPPORTED]
    nowhere = [driver for driver in names if not table.serving(driver)]
    everywhere = [driver for each in table for driver in each.supported] if nowhere else []
    neighbours = {driver: near(driver, everywhere) for driver in nowhere}
    reasons = {driver: why(driver, release, table) for driver in missing}
    fixes = {driver: suggested_fixes(driver, release, table, pinned.required) for driver in missing}
    rows = [("served by", _ranges(serving, table))]
    rows += [
        (_role(release, pinned), f"{release.name} {_verb(driver, release)} {driver}")
        for driver in names
    ]
    rows += [("why", f"{driver}: {reason}") for driver, reason in reasons.items()]
    rows += [
        ("nearest", f"{driver}: the nearest served drivers are {' and '.join(found)}")
        for driver, found in neighbours.items()
    ]
    rows += [("next", f"{driver}: {fix}") for driver, fix in fixes.items()]
    data: dict[str, object] = {
        "drivers": list(names),
        "releases": serving,
        "release": release.name,
        "pinned": pinned.release == release.name,
        "answers": {driver: release.status(driver) for driver in names},
        "reasons": reasons,
        "nearest": {driver: list(found) for driver, found in neighbours.items()},
        "next": fixes,
    }
    return CompatResult(data, _table(rows), _error(missing, release, fixes))


def release(row: Release, table: Table, pinned: Pinned) -> CompatResult:
    """Return the drivers that a release serves and knows, and whether it serves the fleet."""
    missing = unserved(row, pinned)
    fixes = {driver: suggested_fixes(driver, row, table, pinned.required) for driver in missing}
    rows = [("release", row.name + (", the pinned one" if row.name == pinned.release else ""))]
    rows += [("supported", " ".join(row.supported)), ("known", " ".join(row.known) or "none")]
    rows += [
        ("fleet", f"{row.name} {_verb(driver, row)} {driver}: {fixes[driver]}")
        for driver in missing
    ] or [("fleet", _all_served(row, pinned))]
    data: dict[str, object] = {
        "release": row.name,
        "supported": list(row.supported),
        "known": list(row.known),
        "fleet_unserved": missing,
        "next": fixes,
    }
    return CompatResult(data, _table(rows), _error(missing, row, fixes))


def change(old: Release, new: Release, table: Table, pinned: Pinned) -> CompatResult:
    """Return the drivers that a change of release gains and loses, and those of the fleet."""
    gained = ordered(set(new.supported) - set(old.supported))
    lost = ordered(set(old.supported) - set(new.supported))
    missing = unserved(new, pinned)
    broken = [driver for driver in missing if driver in old.supported]
    fixes = {driver: suggested_fixes(driver, new, table, pinned.required) for driver in missing}
    rows = [
        ("from", old.name),
        ("to", new.name),
        ("gained", " ".join(gained) or "nothing"),
        ("lost", " ".join(lost) or "nothing"),
    ]
    rows += [("breaks", f"fleet driver {driver}: {fixes[driver]}") for driver in broken]
    rows += [
        ("unserved", f"fleet driver {driver}, before and after: {fixes[driver]}")
        for driver in missing
        if driver not in broken
    ]
    rows += [] if missing else [("fleet", _all_served(new, pinned))]
    data: dict[str, object] = {
        "from": old.name,
        "to": new.name,
        "gained": list(gained),
        "lost": list(lost),
        "fleet_breaks": broken,
        "fleet_unserved": missing,
    }
    return CompatResult({**data, "next": fixes}, _table(rows), _error(missing, new, fixes))


def node(driver: str, source: str, row: Release, table: Table, pinned: Pinned) -> CompatResult:
    """Return whether a release serves the driver of this machine, which `source` reports."""
    status = row.status(driver)
    text = {"supported": "served", "known": "known, not served", "unknown": "not served"}[status]
    reason = "" if status == SUPPORTED else pinned.allowed.get(driver, "")
    step = (
        ""
        if status == SUPPORTED or reason
        else suggested_fixes(driver, row, table, pinned.required)
    )
    rows = [("driver", f"{driver}, from {source}"), (_role(row, pinned), f"{row.name}: {text}")]
    rows += [("allowed", reason)] if reason else []
    rows += (
        [("why", why(driver, row, table)), ("next", step)] if step else [("next", "nothing to do")]
    )
    data: dict[str, object] = {
        "driver": driver,
        "source": source,
        "release": row.name,
        "answer": status,
    }
    data |= {"allowed": reason, "next": step}
    return CompatResult(data, _table(rows), _error([driver] if step else [], row, {driver: step}))


def fleet(nodes: Sequence[Node], row: Release, table: Table, pinned: Pinned) -> CompatResult:
    """Return the nodes whose drivers a release does not serve."""
    missing = [each for each in nodes if each.driver and row.status(each.driver) != SUPPORTED]
    allowed = {
        each.name: pinned.allowed[each.driver] for each in missing if each.driver in pinned.allowed
    }
    fixes = {
        driver: suggested_fixes(driver, row, table, pinned.required)
        for driver in dict.fromkeys(each.driver for each in missing)
        if driver not in pinned.allowed
    }
    statuses = [row.status(each.driver) if each.driver else "no driver label" for each in nodes]
    lines = [
        {"node": each.name, "driver": each.driver, "answer": status}
        for each, status in zip(nodes, statuses, strict=True)
    ]
    broken = [each.name for each in nodes if each.driver in fixes]
    unlabelled = [each.name for each in nodes if not each.driver]
    data: dict[str, object] = {
        "release": row.name,
        "nodes": lines,
        "breaks": broken,
        "allowed": allowed,
        "no_driver_label": unlabelled,
        "next": fixes,
    }
    counts = [
        f"{len(nodes) - len(broken) - len(allowed) - len(unlabelled)} served",
        f"{len(broken)} would break",
    ]
    counts += [f"{len(allowed)} allowed to be unserved"] if allowed else []
    counts.append(f"{len(unlabelled)} without a driver label")
    rows = [*_fleet_rows(nodes, row, pinned, fixes), ("nodes", ", ".join(counts))]
    return CompatResult(data, _table(rows), _error(list(fixes), row, fixes))


def _fleet_rows(
    nodes: Sequence[Node], row: Release, pinned: Pinned, fixes: Mapping[str, str]
) -> list[tuple[str, str]]:
    """A row for each node that a release does not serve, and for each next step."""
    rows = [(_role(row, pinned), row.name)]
    rows += [
        ("breaks", f"{each.name}  {each.driver}  {row.status(each.driver)}")
        for each in nodes
        if each.driver in fixes
    ]
    rows += [
        ("allowed", f"{each.name}  {each.driver}  {pinned.allowed[each.driver]}")
        for each in nodes
        if each.driver in pinned.allowed and row.status(each.driver) != SUPPORTED
    ]
    rows += [("skipped", f"{each.name}  no driver label") for each in nodes if not each.driver]
    return [*rows, *(("next", f"{driver}: {fix}") for driver, fix in fixes.items())]


def unserved(row: Release, pinned: Pinned) -> list[str]:
    """The fleet's drivers that a release must serve and does not."""
    return [driver for driver in pinned.required if row.status(driver) != SUPPORTED]


def _all_served(row: Release, pinned: Pinned) -> str:
    allowed = [driver for driver in pinned.allowed if row.status(driver) != SUPPORTED]
    return "every driver is served" + (
        f", except {', '.join(allowed)}, which may be unserved" if allowed else ""
    )


def _verb(driver: str, row: Release) -> str:
    return {
        "supported": "serves",
        "known": "knows but does not serve",
        "unknown": "does not serve",
    }[row.status(driver)]


def _role(row: Release, pinned: Pinned) -> str:
    return "pinned" if row.name == pinned.release else "release"


def _ranges(serving: Sequence[str], table: Table) -> str:
    """Releases, newest first; neighbours in the table as ranges."""
    if not serving:
        return "no release"
    rows = groupby(reversed(table.releases), key=lambda each: each.name in serving)
    runs = [[each.name for each in group] for serves, group in rows if serves]
    ends = [run[0] if len(run) == 1 else f"{run[0]} to {run[-1]} ({len(run)})" for run in runs]
    return f"{len(serving)} of {len(table.releases)} releases, newest first: {', '.join(ends)}"


def _error(missing: Sequence[str], row: Release, fixes: dict[str, str]) -> str:
    if not missing:
        return ""
    return f"gVisor {row.name} does not serve {', '.join(missing)}; {fixes[missing[0]]}"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{name:10} {text}" for name, text in rows)
