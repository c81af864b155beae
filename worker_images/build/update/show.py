"""Proposals as a table and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date

from worker_images.build.update.values import Proposal, Verdict
from worker_images.model.document import dotted

COLUMNS = ("from", "to", "age", "size", "verdict")


def table(rows: Sequence[Proposal], today: date) -> str:
    """Return one line per proposal, with its reason, drivers and pins below it."""
    if not rows:
        return "no newer commit of gVisor"
    cells = [COLUMNS, *(_cells(row, today) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    output = lines[:1]
    for row, line in zip(rows, lines[1:], strict=True):
        output += [line, *(f"    {detail}" for detail in _details(row))]
    return "\n".join(output)


def as_json(rows: Sequence[Proposal], written: str) -> str:
    """Return the proposals as JSON; `written` is the version written to versions.yaml, or empty."""
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
    return json.dumps({"proposals": proposals, "written": written}, indent=1)


def _cells(row: Proposal, today: date) -> tuple[str, ...]:
    age = f"{(today - row.published.date()).days} d" if row.published else "-"
    size = f"{row.size / 1e6:.1f} MB" if row.size is not None else "-"
    versions = (version.removeprefix("v0.0.0-") for version in (row.current, row.version))
    return *versions, age, size, str(row.verdict)


def _details(row: Proposal) -> list[str]:
    drivers = "; ".join(
        f"{label} {', '.join(names)}"
        for label, names in (("gains", row.gains), ("loses", row.losses))
        if names
    )
    pins = ", ".join(dotted(change.location) for change in row.changes)
    rows = (row.reason, f"drivers: {drivers}" if drivers else "", f"changes {pins}" if pins else "")
    return list(filter(None, rows))


def step(rows: Sequence[Proposal]) -> str:
    """Return the next step for the user."""
    if any(row.verdict is Verdict.OFFERED for row in rows):
        return "next: ./build.py update --write"
    if any(row.source_failed for row in rows):
        return "next: run again when the sources above answer"
    return "next: nothing to do"
