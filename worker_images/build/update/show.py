"""Proposals as a table for people and as JSON for machines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date

from worker_images.build.update.values import Proposal, Verdict
from worker_images.model.document import dotted

COLUMNS = ("component", "from", "to", "age", "size", "verdict")


def table(
    rows: Sequence[Proposal], unanswered: Mapping[str, str], current: Sequence[str], today: date
) -> str:
    """One line a proposal, its reason and drivers below it, then what has nothing newer and what
    nobody answered.
    """
    cells = [COLUMNS, *(_cells(row, today) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    shown = [lines[0]] if rows else []
    for row, line in zip(rows, lines[1:], strict=True):
        shown += [line, *(f"    {detail}" for detail in _details(row))]
    shown += [f"nothing newer: {', '.join(current)}"] if current else []
    shown += [f"not known: {component}: {reason}" for component, reason in unanswered.items()]
    return "\n".join(shown)


def as_json(
    rows: Sequence[Proposal],
    unanswered: Mapping[str, str],
    current: Sequence[str],
    written: Sequence[str],
) -> str:
    """The same as data."""
    proposals = [
        asdict(row)
        | {
            "published": row.published.isoformat() if row.published else None,
            "changes": [
                {"pin": dotted(change.location), "old": change.old, "new": change.new}
                for change in row.changes
            ],
        }
        for row in rows
    ]
    data = {
        "proposals": proposals,
        "unanswered": dict(unanswered),
        "nothing_newer": list(current),
        "written": list(written),
    }
    return json.dumps(data, indent=1)


def _cells(row: Proposal, today: date) -> tuple[str, ...]:
    age = f"{(today - row.published.date()).days} d" if row.published else "-"
    size = f"{row.size / 1e6:.1f} MB" if row.size is not None else "-"
    return row.component, _short(row.current), _short(row.version), age, size, str(row.verdict)


def _short(version: str) -> str:
    """A commit without the zeros before it, a digest by its first digits."""
    return version.removeprefix("v0.0.0-") if not version.startswith("sha256:") else version[:19]


def _details(row: Proposal) -> list[str]:
    pins = (
        ", ".join(dotted(change.location) for change in row.changes) if len(row.changes) > 1 else ""
    )
    drivers = (
        "gains " + ", ".join(row.gains) if row.gains else "",
        "loses " + ", ".join(row.losses) if row.losses else "",
    )
    told = "; ".join(filter(None, drivers))
    return list(
        filter(
            None, (row.reason, f"drivers: {told}" if told else "", f"moves {pins}" if pins else "")
        )
    )


def step(rows: Sequence[Proposal], unanswered: Mapping[str, str]) -> str:
    """What the reader does next."""
    offered = [row.component for row in rows if row.verdict is Verdict.OFFERED]
    if offered:
        return f"next: ./build.py update --write {' '.join(offered)}"
    return "next: nothing to take" + (
        f"; run again where the sources of {', '.join(unanswered)} answer"
        if unanswered
        else " today"
    )
