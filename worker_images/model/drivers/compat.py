"""The questions of build.py compat: what is asked of the table, answered as data and as text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from worker_images.model.drivers.advice import suggested_fixes, why
from worker_images.model.drivers.fleet import Node
from worker_images.model.drivers.table import SUPPORTED, Release, Table, ordered
from worker_images.model.drivers.version import near


@dataclass(frozen=True)
class Pinned:
    """What versions.yaml says: the release, the fleet's drivers, and those of them that may go
    unserved, each with its reason.
    """

    release: str
    fleet: tuple[str, ...]
    allowed: Mapping[str, str] = field(default_factory=dict)

    @property
    def required(self) -> tuple[str, ...]:
        """The drivers that a release must serve."""
        return tuple(driver for driver in self.fleet if driver not in self.allowed)


@dataclass(frozen=True)
class CompatResult:
    """Whether all that was asked about is served, the same as data, and as text.

    `refused` is one line, where something is not.
    """

    data: Mapping[str, object]
    text: str
    error: str = ""


def drivers(asked: Sequence[str], release: Release, table: Table, pinned: Pinned) -> CompatResult:
    """Which releases serve all of these drivers, and whether the asked one does."""
    serving = [each.name for each in reversed(table.serving(*asked))]
    missing = [driver for driver in asked if release.status(driver) != SUPPORTED]
    everywhere = [driver for each in table for driver in each.supported]
    near_ones = {driver: near(driver, everywhere) for driver in asked if not table.serving(driver)}
    reasons = {driver: why(driver, release, table) for driver in missing}
    ways = {driver: suggested_fixes(driver, release, table, pinned.required) for driver in missing}
    rows = [("served by", _folded(serving, table))]
    rows += [
        (_role(release, pinned), f"{release.name} {_verdict(driver, release)} {driver}")
        for driver in asked
    ]
    rows += [("why", f"{driver}: {words}") for driver, words in reasons.items()]
    rows += [
        ("nearest", f"{driver}: {' and '.join(found)} are served by some release")
        for driver, found in near_ones.items()
    ]
    rows += [("next", f"{driver}: {words}") for driver, words in ways.items()]
    data: dict[str, object] = {
        "drivers": list(asked),
        "releases": serving,
        "release": release.name,
        "pinned": pinned.release == release.name,
        "answers": {driver: release.status(driver) for driver in asked},
        "reasons": reasons,
        "nearest": {driver: list(found) for driver, found in near_ones.items()},
        "next": ways,
    }
    return CompatResult(data, _table(rows), _refused(missing, release, ways))


def release(row: Release, table: Table, pinned: Pinned) -> CompatResult:
    """What one release serves and knows, and whether that is enough for the fleet."""
    missing = unserved(row, pinned)
    ways = {driver: suggested_fixes(driver, row, table, pinned.required) for driver in missing}
    rows = [("release", row.name + (", the pinned one" if row.name == pinned.release else ""))]
    rows += [("supported", " ".join(row.supported)), ("known", " ".join(row.known) or "none")]
    rows += [
        ("fleet", f"{row.name} {_verdict(driver, row)} {driver}: {ways[driver]}")
        for driver in missing
    ] or [("fleet", _enough(row, pinned))]
    data: dict[str, object] = {
        "release": row.name,
        "supported": list(row.supported),
        "known": list(row.known),
        "fleet_unserved": missing,
        "next": ways,
    }
    return CompatResult(data, _table(rows), _refused(missing, row, ways))


def change(old: Release, new: Release, table: Table, pinned: Pinned) -> CompatResult:
    """What a change from one release to another gains and loses, and what it does to the fleet."""
    gained = ordered(set(new.supported) - set(old.supported))
    lost = ordered(set(old.supported) - set(new.supported))
    missing = unserved(new, pinned)
    broken = [driver for driver in missing if driver in old.supported]
    ways = {driver: suggested_fixes(driver, new, table, pinned.required) for driver in missing}
    rows = [
        ("from", old.name),
        ("to", new.name),
        ("gained", " ".join(gained) or "nothing"),
        ("lost", " ".join(lost) or "nothing"),
    ]
    rows += [("breaks", f"{driver}, of the fleet: {ways[driver]}") for driver in broken]
    rows += [
        ("refused", f"{driver}, of the fleet, before and after: {ways[driver]}")
        for driver in missing
        if driver not in broken
    ]
    rows += [] if missing else [("fleet", _enough(new, pinned))]
    data: dict[str, object] = {
        "from": old.name,
        "to": new.name,
        "gained": list(gained),
        "lost": list(lost),
        "fleet_breaks": broken,
        "fleet_unserved": missing,
    }
    return CompatResult({**data, "next": ways}, _table(rows), _refused(missing, new, ways))


def node(driver: str, source: str, row: Release, table: Table, pinned: Pinned) -> CompatResult:
    """Whether a release serves this very machine."""
    answer = row.status(driver)
    words = {"supported": "served", "known": "known and refused", "unknown": "unknown and refused"}[
        answer
    ]
    reason = "" if answer == SUPPORTED else pinned.allowed.get(driver, "")
    step = (
        ""
        if answer == SUPPORTED or reason
        else suggested_fixes(driver, row, table, pinned.required)
    )
    rows = [("driver", f"{driver}, says {source}"), (_role(row, pinned), f"{row.name}: {words}")]
    rows += [("allowed", reason)] if reason else []
    rows += (
        [("why", why(driver, row, table)), ("next", step)] if step else [("next", "nothing to do")]
    )
    data: dict[str, object] = {
        "driver": driver,
        "source": source,
        "release": row.name,
        "answer": answer,
    }
    data |= {"allowed": reason, "next": step}
    return CompatResult(data, _table(rows), _refused([driver] if step else [], row, {driver: step}))


def fleet(nodes: Sequence[Node], row: Release, table: Table, pinned: Pinned) -> CompatResult:
    """Which nodes a release would break."""
    refused = [each for each in nodes if each.driver and row.status(each.driver) != SUPPORTED]
    allowed = {
        each.name: pinned.allowed[each.driver] for each in refused if each.driver in pinned.allowed
    }
    ways = {
        each.driver: suggested_fixes(each.driver, row, table, pinned.required)
        for each in refused
        if each.driver not in pinned.allowed
    }
    answers = [row.status(each.driver) if each.driver else "no driver label" for each in nodes]
    lines = [
        {"node": each.name, "driver": each.driver, "answer": told}
        for each, told in zip(nodes, answers, strict=True)
    ]
    broken = [each.name for each in nodes if each.driver in ways]
    silent = [each.name for each in nodes if not each.driver]
    data: dict[str, object] = {
        "release": row.name,
        "nodes": lines,
        "breaks": broken,
        "allowed": allowed,
        "no_driver_label": silent,
        "next": ways,
    }
    counts = [
        f"{len(nodes) - len(broken) - len(allowed) - len(silent)} served",
        f"{len(broken)} would break",
    ]
    counts += [f"{len(allowed)} allowed not to be served"] if allowed else []
    counts.append(f"{len(silent)} without a driver label")
    rows = [*_fleet_rows(nodes, row, pinned, ways), ("nodes", ", ".join(counts))]
    return CompatResult(data, _table(rows), _refused(list(ways), row, ways))


def _fleet_rows(
    nodes: Sequence[Node], row: Release, pinned: Pinned, ways: Mapping[str, str]
) -> list[tuple[str, str]]:
    """A line for each node that a release does not serve, and for each next step."""
    rows = [(_role(row, pinned), row.name)]
    rows += [
        ("breaks", f"{each.name}  {each.driver}  {row.status(each.driver)}")
        for each in nodes
        if each.driver in ways
    ]
    rows += [
        ("allowed", f"{each.name}  {each.driver}  {pinned.allowed[each.driver]}")
        for each in nodes
        if each.driver in pinned.allowed and row.status(each.driver) != SUPPORTED
    ]
    rows += [("unasked", f"{each.name}  no driver label") for each in nodes if not each.driver]
    return [*rows, *(("next", f"{driver}: {words}") for driver, words in ways.items())]


def unserved(row: Release, pinned: Pinned) -> list[str]:
    """The fleet's drivers that a release does not serve, without those that are allowed not to
    be.
    """
    return [driver for driver in pinned.required if row.status(driver) != SUPPORTED]


def _enough(row: Release, pinned: Pinned) -> str:
    allowed = [driver for driver in pinned.allowed if row.status(driver) != SUPPORTED]
    return "every driver is served" + (
        f", but for {', '.join(allowed)}, which may go unserved" if allowed else ""
    )


def _verdict(driver: str, row: Release) -> str:
    return {"supported": "serves", "known": "knows and refuses", "unknown": "refuses"}[
        row.status(driver)
    ]


def _role(row: Release, pinned: Pinned) -> str:
    return "pinned" if row.name == pinned.release else "release"


def _folded(serving: Sequence[str], table: Table) -> str:
    """Releases, newest first: the table's neighbours as the ends of their row."""
    if not serving:
        return "no release"
    rows = groupby(reversed(table.releases), key=lambda each: each.name in serving)
    runs = [[each.name for each in group] for told, group in rows if told]
    ends = [run[0] if len(run) == 1 else f"{run[0]} to {run[-1]} ({len(run)})" for run in runs]
    return f"{len(serving)} of {len(table.releases)} releases, newest first: {', '.join(ends)}"


def _refused(missing: Sequence[str], row: Release, ways: dict[str, str]) -> str:
    if not missing:
        return ""
    return f"gVisor {row.name} does not serve {', '.join(missing)}; {ways[missing[0]]}"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{name:10} {text}" for name, text in rows)
