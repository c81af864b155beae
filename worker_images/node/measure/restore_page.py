"""Renders the figures of the command restores as a part of the proof page."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from worker_images.node.measure.restore_rows import PREFIX


def reports(folder: Path) -> list[dict[str, Any]]:
    """Return the reports in a results folder, in the order of their names."""
    paths = sorted(folder.glob(f"{PREFIX}*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _modules(facts: dict[str, Any]) -> str:
    """Whether the modules were compiled; older reports do not say."""
    if "bytecode" not in facts:
        return ""
    return " with bytecode" if facts["bytecode"] else " without bytecode"


def section(found: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of one report."""
    facts = found["facts"]
    parameters = facts.get("parameters", 0) / 1e9
    yield f"\n### Starts and restores of a model with {parameters:.2g} billion parameters\n"
    yield (
        f"{facts['date']}, {'; '.join(facts['gpus']) or 'no GPU'}, driver {facts['driver']},"
        f" {facts['runsc']}, image `{facts['image']}`, torch {facts['torch']}{_modules(facts)}."
    )
    yield (
        f"Memory taken off the GPU by `{facts['program']}`; files on {facts['file_system']}; page"
        f" cache emptied by {facts.get('cold_by', 'nothing')}; huge pages:"
        f" {facts.get('huge_pages', 'unknown')}. Command: `{facts['command']}`\n"
    )
    yield "| figure | median | values |"
    yield "| --- | --- | --- |"
    for row in found["rows"]:
        unit = f", {row['unit']}" if row["unit"] else ""
        values = " ".join(f"{value:.2f}" for value in row["values"])
        yield f"| {row['name']}{unit} | {row['median']:.2f} | {values} |"
    for goal in found["goals"]:
        kept = "kept" if goal["kept"] else "missed"
        yield f"| {goal['name']} | {goal['value']:.3f} | {goal['bar']}: {kept} |"
    for problem in found["problems"]:
        words = " ".join(problem.split()).replace("|", "·")
        yield f"| not measured |  | {words[:400]} |"
