"""What a run of the workload layer proves, as one page: the machine, the image, each check with
what it saw, the figures.
"""

import ast
import functools
import json
import os
import platform
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from worker_images.docstrings import summary
from worker_images.node.node import Node
from worker_images.node.place import Answer, answer

RUN = "run.json"
CHECKS = "workload.xml"
FIGURES = "figures.json"
CHECKLIST = "verify.json"
OUTCOMES = {"failure": "failed", "error": "failed", "skipped": "not run"}
TITLES = {
    "test_host": "On the node, without gVisor",
    "test_sandbox": "In the sandbox",
    "test_wiring": "The wiring, also without a GPU",
    "test_controls": "Where it must fail",
    "test_answers": "What else users ask",
}


def machine(node: Node, python: str, runsc: str, command: Sequence[str]) -> dict[str, Any]:
    """The machine and the versions, for RUN; `runsc` is the image's own, on this machine's disk."""
    return {
        # Python 3.10 has no datetime.UTC.
        "date": (datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%MZ")),  # noqa: UP017
        "command": " ".join(command),
        "kernel": platform.release(),
        "processors": os.cpu_count(),
        "driver": node.driver,
        "driver_files": node.found,
        "gpus": [re.sub(r" \(UUID.*", "", line) for line in _said("nvidia-smi", "-L").splitlines()],
        "python": _said(python, "--version").strip(),
        "torch": (
            _said(
                python, "-c", "from importlib.metadata import version; print(version('torch'))"
            ).strip()
        ),
        "runsc": _said(runsc, "--version").partition("\n")[0],
    }


def _said(*command: str) -> str:
    found: Answer = answer(["env", *command])
    return found.output if not found.status else ""


@dataclass(frozen=True)
class Check:
    """One check of a module: its words, what it came to, what it saw or why not, and its
    seconds.
    """

    module: str
    words: str
    outcome: str
    seen: str
    seconds: float


def checks(results: Path, tests: Path) -> Iterator[Check]:
    """Each check of a run, in order, with the words of its function in a folder of tests."""
    # Pytest wrote it.
    for case in ET.parse(results / CHECKS).getroot().iter("testcase"):  # noqa: S314
        outcome, seen = (
            "passed",
            next(
                (
                    each.get("value", "")
                    for each in case.iter("property")
                    if each.get("name") == "seen"
                ),
                "",
            ),
        )
        for child in case:
            if child.tag in OUTCOMES:
                outcome, seen = (
                    OUTCOMES[child.tag],
                    next(
                        iter((child.get("message") or "").removeprefix("not run: ").splitlines()),
                        "",
                    ),
                )
        module = case.get("classname", "").rpartition(".")[2]
        name = case.get("name", "")
        words = name.removeprefix("test_").replace("_", " ")
        note = _notes(tests / f"{module}.py").get(name, "")
        yield Check(
            module,
            f"**{words[:1].upper() + words[1:]}.** {note}".strip(),
            outcome,
            seen,
            float(case.get("time", "0")),
        )


@functools.cache
def _notes(path: Path) -> dict[str, str]:
    """The first line of each function's documentation."""
    found = (
        node
        for node in ast.parse(path.read_text() if path.exists() else "").body
        if isinstance(node, ast.FunctionDef)
    )
    return {each.name: summary(ast.get_docstring(each) or "") for each in found}


def digest(results: Path) -> str:
    """The image that the run speaks of."""
    properties = ET.parse(results / CHECKS).getroot().iter("property")  # noqa: S314
    return next(
        (each.get("value", "") for each in properties if each.get("name") == "image_id"), ""
    )


def page(results: Sequence[Path], tests: Path) -> str:
    """Markdown of one or several runs."""
    return "\n".join(line for folder in results for line in _run(folder, tests))


def _run(results: Path, tests: Path) -> Iterator[str]:
    run = json.loads((results / RUN).read_text())
    found = list(checks(results, tests))
    counts = {
        outcome: sum(check.outcome == outcome for check in found)
        for outcome in ("passed", "failed", "not run")
    }
    yield (
        f"## {run['variant']}:"
        f" {', '.join(f'{count} {outcome}' for outcome, count in counts.items())}\n"
    )
    yield from _facts(run, digest(results), sum(check.seconds for check in found))
    for module, title in TITLES.items():
        rows = [check for check in found if check.module == module]
        if rows:
            yield f"\n### {title}\n\n| check | | seen | s |\n| --- | --- | --- | --- |"
            yield from (
                f"| {row.words} | {row.outcome} | {_cell(row.seen)} | {row.seconds:.1f} |"
                for row in rows
            )
    if (results / FIGURES).exists():
        yield from _figures(json.loads((results / FIGURES).read_text()))
    if (results / CHECKLIST).exists():
        yield from _checklist(json.loads((results / CHECKLIST).read_text()))
    yield ""


def _checklist(made: dict[str, Any]) -> Iterator[str]:
    yield f"\n### The requirements' checklist\n\n{made['verdict']}\n"
    yield (
        "| layer | the note's check | worth | ours | | found |\n| --- | --- | --- | --- | --- |"
        " --- |"
    )
    for row in made["rows"]:
        note = row["note"]["command"].partition("\n")[0]
        yield (
            f"| {row['layer']} | {_cell(note)} | {row['note']['worth']} | {row['check']} |"
            f" {row['state']} | {_cell(row['found'])} |"
        )


def _facts(run: dict[str, Any], image: str, seconds: float) -> Iterator[str]:
    rows = {
        "date": run["date"],
        "image": f"`{image}`",
        "runsc": run["runsc"],
        "GPU": "; ".join(run["gpus"]),
        "driver": f"{run['driver']}, files by {run['driver_files']}",
        "kernel": f"{run['kernel']}, {run['processors']} processors",
        "user's container": f"{run['python']}, torch {run['torch'] or 'none'}",
        "command": f"`{run['command']}`",
        "time of all checks": f"{seconds:.0f} s",
    }
    yield "| | |\n| --- | --- |"
    yield from (f"| {name} | {value} |" for name, value in rows.items())


def _figures(measured: dict[str, Any]) -> Iterator[str]:
    yield (
        "\n### What the sandbox costs\n\n| figure | node | sandbox | sandbox : node | bar |\n| ---"
        " | --- | --- | --- | --- |"
    )
    for row in measured["figures"]:
        figure = row["figure"]
        bars = [
            f"{sign} {figure[key]}"
            for sign, key in (("≥", "least"), ("≤", "most"))
            if figure[key] is not None
        ]
        verdict = f"{bars[0]}: {'kept' if row['kept'] else 'missed'}" if bars else ""
        yield (
            f"| {figure['name']}, {figure['unit']} | {row['node']:.3f} | {row['sandbox']:.3f} |"
            f" {row['ratio']:.3f} | {verdict} |"
        )


def _cell(text: str) -> str:
    """Text that a table's cell can hold; what it saw in quotes of code is not read as markup."""
    # Which very GPU it was is nobody's matter.
    plain = re.sub(r"GPU-[0-9a-f-]{36}", "GPU-…", text).replace("|", "·").replace("`", "'")[:400]
    return f"`{plain}`" if plain else ""
