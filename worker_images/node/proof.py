"""What a run of the workload layer proves, as one page: the machine, the image, each check with
what it saw, the figures.
"""

import json
import os
import platform
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from worker_images.model import results
from worker_images.model.results import OUTCOMES, Check, Run
from worker_images.node.node import Node
from worker_images.node.place import answer

RUN = "run.json"
CHECKS = "workload.xml"
FIGURES = "figures.json"
CHECKLIST = "verify.json"
TITLES = {
    "test_host": "On the node, without gVisor",
    "test_runsc": "The image's runsc",
    "test_sandbox": "In the sandbox",
    "test_wiring": "The wiring, also without a GPU",
    "test_controls": "Where it must fail",
    "test_answers": "What else users ask",
}
# Cells of a table: its text without what Markdown would read as a new cell or the end of code.
CELL = str.maketrans({"|": "·", "`": "'"})
MOST = 400


def machine(node: Node, python: str, runsc: str, command: Sequence[str]) -> dict[str, Any]:
    """The machine and the versions, for RUN; `runsc` is the image's own, on this machine's disk."""
    torch = "from importlib.metadata import version; print(version('torch'))"
    gpus = _output("nvidia-smi", "-L").splitlines()
    return {
        # Python 3.10 has no datetime.UTC.
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%MZ"),  # noqa: UP017
        "command": " ".join(command),
        "kernel": platform.release(),
        "processors": os.cpu_count(),
        "driver": node.driver,
        "driver_files": node.found,
        "gpus": [re.sub(r" \(UUID.*", "", line) for line in gpus],
        "python": _output(python, "--version").strip(),
        "torch": _output(python, "-c", torch).strip(),
        "runsc": _output(runsc, "--version").partition("\n")[0],
    }


def _output(*command: str) -> str:
    found = answer(["env", *command])
    return "" if found.status else found.output


def page(folders: Sequence[Path], root: Path) -> str:
    """Markdown of one or several runs, with the words of the tests below a checkout or kit."""
    return "\n".join(line for folder in folders for line in _run(folder, root))


def _run(folder: Path, root: Path) -> Iterator[str]:
    facts = _json(folder / RUN)
    run = results.read(folder / CHECKS)
    count = results.count(run.checks)
    counts = [f"{count[outcome]} {outcome}" for outcome in OUTCOMES]
    yield f"## {facts['variant']}: {', '.join(counts)}\n"
    yield from _facts(facts, run)
    for name, title in TITLES.items():
        own = [check for check in run.checks if Path(check.file).stem == name]
        if own:
            yield from _module(title, own, root)
    figures = folder / FIGURES
    if figures.exists():
        yield from _figures(_json(figures))
    checklist = folder / CHECKLIST
    if checklist.exists():
        yield from _checklist(_json(checklist))
    yield ""


def _module(title: str, checks: Sequence[Check], root: Path) -> Iterator[str]:
    yield f"\n### {title}\n"
    yield from _table("check", "", "seen", "s")
    for check in checks:
        yield _row(results.with_docstrings(check, root))


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _table(*names: str) -> Iterator[str]:
    yield f"| {' | '.join(names)} |".replace("|  |", "| |")
    yield f"|{' --- |' * len(names)}"


def _facts(facts: dict[str, Any], run: Run) -> Iterator[str]:
    rows = {
        "date": facts["date"],
        "image": f"`{run.properties.get('image_id', '')}`",
        "runsc": facts["runsc"],
        "GPU": "; ".join(facts["gpus"]),
        "driver": f"{facts['driver']}, files by {facts['driver_files']}",
        "kernel": f"{facts['kernel']}, {facts['processors']} processors",
        "user's container": f"{facts['python']}, torch {facts['torch'] or 'none'}",
        "command": f"`{facts['command']}`",
        "time of all checks": f"{sum(check.seconds for check in run.checks):.0f} s",
    }
    yield from ("| | |", "| --- | --- |")
    yield from (f"| {name} | {value} |" for name, value in rows.items())


def _row(check: Check) -> str:
    result = check.result
    reason = result.reason.partition("\n")[0]
    cells = [
        f"**{check.title}.** {check.note}".strip(),
        result.outcome,
        _cell(reason or result.seen),
        f"{check.seconds:.1f}",
    ]
    return _line(cells)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figures(measured: dict[str, Any]) -> Iterator[str]:
    yield "\n### What the sandbox costs\n"
    yield from _table("figure", "node", "sandbox", "sandbox : node", "bar")
    for row in measured["figures"]:
        figure = row["figure"]
        cells = [
            f"{figure['name']}, {figure['unit']}",
            f"{row['node']:.3f}",
            f"{row['sandbox']:.3f}",
            f"{row['ratio']:.3f}",
            _bar(row),
        ]
        yield _line(cells)


def _bar(row: dict[str, Any]) -> str:
    kept = "kept" if row["kept"] else "missed"
    least = row["figure"]["least"]
    most = row["figure"]["most"]
    if least is not None:
        return f"≥ {least}: {kept}"
    if most is not None:
        return f"≤ {most}: {kept}"
    return ""


def _checklist(made: dict[str, Any]) -> Iterator[str]:
    yield f"\n### The requirements' checklist\n\n{made['verdict']}\n"
    yield from _table("layer", "the requirements' check", "assessment", "ours", "", "found")
    for row in made["rows"]:
        own = row["requirement"].partition("\n")[0]
        cells = [
            row["layer"],
            _cell(own),
            row["assessment"],
            row["check"],
            row["outcome"] if row["selected"] else "not selected",
            _cell(row["seen"]),
        ]
        yield _line(cells)


def _cell(text: str) -> str:
    """Text as code in a table's cell, without the identity of a GPU."""
    plain = re.sub(r"GPU-[0-9a-f-]{36}", "GPU-…", text).translate(CELL)[:MOST]
    return f"`{plain}`" if plain else ""
