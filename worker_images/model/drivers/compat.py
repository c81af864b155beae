"""The queries of build.py compat: which releases serve which drivers, as data and as text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from worker_images.model.drivers import kernel
from worker_images.model.drivers.advice import Advice, advise
from worker_images.model.drivers.kernel import Machine
from worker_images.model.drivers.table import SUPPORTED, UNKNOWN, Release, Table, full, ordered
from worker_images.model.drivers.version import near

KINDS = {kernel.VGPU: "a vGPU guest: gVisor lists the driver's version, and does not test vGPU"}


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


def drivers(
    names: Sequence[str], release: Release, table: Table, pinned: Pinned, architecture: str = ""
) -> CompatResult:
    """Return the releases that serve all of these drivers, and whether `release` does."""
    serving = [each.name for each in reversed(table.serving(*names))]
    missing = [driver for driver in names if release.status(driver) != SUPPORTED]
    nowhere = [
        driver for driver in names if not table.serving(driver) and not kernel.kind_of(driver)
    ]
    everywhere = [driver for each in table for driver in each.supported] if nowhere else []
    exist = [driver for driver in everywhere if table.exists(driver, architecture)]
    neighbours = {driver: near(full(driver), exist) for driver in nowhere}
    advice = {
        driver: _advice(driver, names, release, table, pinned, architecture) for driver in missing
    }
    reasons = {driver: each.why for driver, each in advice.items()}
    fixes = {driver: each.step for driver, each in advice.items()}
    rows = [("served by", _ranges(serving, table))]
    rows += [
        (role(release, pinned), f"{release.name} {_verb(driver, release)} {driver}")
        for driver in names
    ]
    rows += [("why", f"{driver}: {reason}") for driver, reason in reasons.items()]
    rows += [
        ("nearest", f"{driver}: {' and '.join(found)} (served by some release)")
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
    return CompatResult(data, text_of(rows), error_of(missing, release, fixes))


def _advice(
    driver: str,
    names: Sequence[str],
    row: Release,
    table: Table,
    pinned: Pinned,
    architecture: str,
) -> Advice:
    """Advice for one of several drivers: a release that also serves the others goes first."""
    return advise(
        driver,
        table,
        row,
        fleet=pinned.required,
        together=[each for each in names if table.serving(each)],
        architecture=architecture,
    )


def release(row: Release, table: Table, pinned: Pinned) -> CompatResult:
    """Return the drivers that a release serves and knows, and whether it serves the fleet."""
    missing = unserved(row, pinned)
    fixes = _fixes(missing, row, table, pinned)
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
    return CompatResult(data, text_of(rows), error_of(missing, row, fixes))


def change(old: Release, new: Release, table: Table, pinned: Pinned) -> CompatResult:
    """Return the drivers that a change of release gains and loses, and those of the fleet."""
    gained = ordered(set(new.supported) - set(old.supported))
    lost = ordered(set(old.supported) - set(new.supported))
    missing = unserved(new, pinned)
    broken = [driver for driver in missing if driver in old.supported]
    fixes = _fixes(missing, new, table, pinned)
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
    return CompatResult({**data, "next": fixes}, text_of(rows), error_of(missing, new, fixes))


def node(machine: Machine, row: Release, table: Table, pinned: Pinned) -> CompatResult:
    """Return whether a release serves the driver of this machine."""
    driver, kind = machine.driver, machine.kind
    is_served = row.status(driver) == SUPPORTED and kind in ("", kernel.VGPU)
    answer = row.status(driver) if kind in ("", kernel.VGPU) else UNKNOWN
    text = {"supported": "served", "known": "known, not served", "unknown": "not served"}[answer]
    reason = "" if is_served else pinned.allowed.get(driver, "")
    advice = advise(
        driver,
        table,
        row,
        fleet=pinned.required,
        architecture=machine.architecture,
        kind=kind,
    )
    step = "" if is_served or reason else advice.step
    rows = [
        ("driver", f"{driver}, from {machine.source}"),
        (role(row, pinned), f"{row.name}: {text}"),
    ]
    rows += [("kind", KINDS[kind])] if kind in KINDS else []
    rows += [("allowed", reason)] if reason else []
    rows += [("why", advice.why), ("next", step)] if step else [("next", "nothing to do")]
    data: dict[str, object] = {
        "driver": driver,
        "source": machine.source,
        "architecture": machine.architecture,
        "kind": kind,
        "release": row.name,
        "answer": answer,
        "allowed": reason,
        "why": advice.why if step else "",
        "next": step,
    }
    return CompatResult(data, text_of(rows), _machine_error(machine, row, advice) if step else "")


def _machine_error(machine: Machine, row: Release, advice: Advice) -> str:
    if machine.kind in (kernel.WSL, kernel.NO_MODULE):
        return f"{advice.why}; {advice.step}"
    return error_of([machine.driver], row, {machine.driver: advice.step})


def _fixes(missing: Sequence[str], row: Release, table: Table, pinned: Pinned) -> dict[str, str]:
    return {driver: advise(driver, table, row, fleet=pinned.required).step for driver in missing}


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


def role(row: Release, pinned: Pinned) -> str:
    """The name of the row of a release: the pinned one or another."""
    return "pinned" if row.name == pinned.release else "release"


def _ranges(serving: Sequence[str], table: Table) -> str:
    """Releases, newest first; neighbours in the table as ranges."""
    if not serving:
        return "no release"
    rows = groupby(reversed(table.releases), key=lambda each: each.name in serving)
    runs = [[each.name for each in group] for serves, group in rows if serves]
    ends = [run[0] if len(run) == 1 else f"{run[0]} to {run[-1]} ({len(run)})" for run in runs]
    return f"{len(serving)} of {len(table.releases)} releases, newest first: {', '.join(ends)}"


def error_of(missing: Sequence[str], row: Release, fixes: Mapping[str, str]) -> str:
    """One line with the unserved drivers and the first fix; empty if all are served."""
    if not missing:
        return ""
    first = fixes[missing[0]]
    which = f"for {missing[0]}: " if any(fixes[each] != first for each in missing) else ""
    return f"gVisor {row.name} does not serve {', '.join(missing)}; {which}{first}"


def text_of(rows: Iterable[tuple[str, str]]) -> str:
    """Rows of names and texts as lines."""
    return "\n".join(f"{name:10} {text}" for name, text in rows)
