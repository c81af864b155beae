"""Renders the results of the workload layer as one page of Markdown.

The page shows the machine, the image, each check with what it saw, and the benchmark.
"""

import json
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from worker_images.model import results
from worker_images.model.results import OUTCOMES, Check, Run
from worker_images.node.measure import restore_page
from worker_images.node.node import Node
from worker_images.node.place import run_command

RUN = "run.json"
CHECKS = "workload.xml"
BENCHMARK = "benchmark.json"
CHECKLIST = "verify.json"
POD = "pod.xml"
# What a run of the workload layer leaves, and what others add to it.
FILES = (RUN, CHECKS, BENCHMARK, CHECKLIST, POD)
# The checks of tests/layers, in a folder of their own.
LAYERS = "layers.xml"
TITLES = {
    "test_host": "On the node, without gVisor",
    "test_runsc": "The image's runsc",
    "test_sandbox": "In the sandbox",
    "test_wiring": "Devices and driver files, also without a GPU",
    "test_several_gpus": "Several GPUs",
    "test_controls": "Negative controls",
    "test_use_cases": "Other use cases",
    "test_checkpoint": "Checkpoints of GPU programs",
    "test_checkpoint_rules": "Checkpoints: what may change, also without a GPU",
    "test_checkpoint_sockets": "Checkpoints: sockets, also without a GPU",
    "test_unsaved": "Checkpoints: what cannot be saved",
    "test_criu": "Checkpoints with CRIU and runc",
}
# Characters that Markdown reads as the start of a cell or the end of code, and their replacements.
CELL_CHARACTERS = str.maketrans({"|": "·", "`": "'"})
MAX_CELL = 400


def machine(node: Node, python: str, runsc: str, command: Sequence[str]) -> dict[str, Any]:
    """Describe the machine and the versions for RUN; `runsc` is the image's, on this disk."""
    torch = "from importlib.metadata import version; print(version('torch'))"
    gpus = _output("nvidia-smi", "-L").splitlines()
    return {
        # Python 3.10 has no datetime.UTC.
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%MZ"),  # noqa: UP017
        "command": " ".join(command),
        "kernel": platform.release(),
        "processors": os.cpu_count(),
        "driver": node.driver,
        "driver_files": node.source,
        "gpus": [re.sub(r" \(UUID.*", "", line) for line in gpus],
        "python": _output(python, "--version").strip(),
        "torch": _output(python, "-c", torch).strip(),
        "runsc": _output(runsc, "--version").partition("\n")[0],
    }


def _output(*command: str) -> str:
    result = run_command(["env", *command])
    return "" if result.status else result.output


def page(folders: Sequence[Path], root: Path) -> str:
    """Return the Markdown of one or more runs; titles come from the tests below `root`."""
    return "\n".join(
        line
        for folder in folders
        for line in (_layers(folder, root) if (folder / LAYERS).exists() else _run(folder, root))
    )


def _layers(folder: Path, root: Path) -> Iterator[str]:
    run = results.read(folder / LAYERS)
    yield from _module(f"All layers at once, {run.at}", run.checks, root)
    yield ""


def _run(folder: Path, root: Path) -> Iterator[str]:
    """Yield the lines of a folder; one of the command restores alone has no checks."""
    found = restore_page.reports(folder)
    if found and not any((folder / name).exists() for name in FILES):
        yield "## Checkpoints"
    else:
        yield from _checks(folder, root)
    for each in found:
        yield from restore_page.section(each)
    yield ""


def _checks(folder: Path, root: Path) -> Iterator[str]:
    run = results.read(folder / CHECKS)
    # Only a run with the benchmark describes the machine in full.
    facts = _json(folder / RUN) if (folder / RUN).exists() else {}
    count = results.count(run.checks)
    counts = [f"{count[outcome]} {outcome}" for outcome in OUTCOMES]
    yield f"## {run.properties.get('variant', 'image')}: {', '.join(counts)}\n"
    yield from ("| | |", "| --- | --- |")
    yield from (f"| {name} | {value} |" for name, value in _facts(facts, run).items() if value)
    for name, title in TITLES.items():
        checks = [check for check in run.checks if Path(check.file).stem == name]
        if checks:
            yield from _module(title, checks, root)
    pod = folder / POD
    if pod.exists():
        yield from _module("The pod", results.read(pod).checks, root)
    benchmark = folder / BENCHMARK
    if benchmark.exists():
        yield from _benchmark(_json(benchmark))
    checklist = folder / CHECKLIST
    if checklist.exists():
        yield from _checklist(_json(checklist))


def _module(title: str, checks: Sequence[Check], root: Path) -> Iterator[str]:
    yield f"\n### {title}\n"
    yield from _table("check", "", "seen", "s")
    for check in checks:
        yield _row(results.with_docstrings(check, root))


def _json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def _table(*names: str) -> Iterator[str]:
    yield f"| {' | '.join(names)} |".replace("|  |", "| |")
    yield f"|{' --- |' * len(names)}"


def _facts(facts: Mapping[str, Any], run: Run) -> dict[str, str]:
    found = {
        "date": run.at,
        "image": f"`{run.properties.get('image_id', '')}`",
        "machine": run.properties.get("machine", ""),
        "time of all checks": f"{sum(check.seconds for check in run.checks):.0f} s",
    }
    if not facts:
        return found
    return found | {
        "date": facts["date"],
        "runsc": facts["runsc"],
        "GPU": "; ".join(facts["gpus"]),
        "driver": f"{facts['driver']}, files from {facts['driver_files']}",
        "kernel": f"{facts['kernel']}, {facts['processors']} processors",
        "user's container": f"{facts['python']}, torch {facts['torch'] or 'none'}",
        "command": f"`{facts['command']}`",
    }


def _row(check: Check) -> str:
    result = check.result
    reason = result.reason.partition("\n")[0]
    parameter = f" ({check.parameter})" if check.parameter else ""
    cells = [
        f"**{check.title}{parameter}.** {check.note}".strip(),
        result.outcome,
        _cell(reason or result.seen),
        f"{check.seconds:.1f}",
    ]
    return _line(cells)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _benchmark(measured: dict[str, Any]) -> Iterator[str]:
    yield "\n### What the sandbox costs\n"
    yield from _table("metric", "node", "sandbox", "sandbox : node", "rounds", "bar")
    for row in measured["metrics"]:
        metric = row["metric"]
        cells = [
            f"{metric['name']}, {metric['unit']}",
            _spread(row["node"], row["native"]),
            _spread(row["sandbox"], row["sandboxed"]),
            f"{row['ratio']:.3f}",
            str(min(len(row["native"]), len(row["sandboxed"]))),
            _bar(row),
        ]
        yield _line(cells)
    for row in measured["not_run"]:
        metric = row["metric"]
        cells = [f"{metric['name']}, {metric['unit']}", "", "", "", "", f"not run: {row['reason']}"]
        yield _line(cells)


def _spread(median: float, values: Sequence[float]) -> str:
    """Return a median, with the least and the most of several values."""
    spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
    return f"{median:.3f}{spread}"


def _bar(row: dict[str, Any]) -> str:
    kept = "kept" if row["kept"] else "missed"
    least = row["metric"]["least"]
    most = row["metric"]["most"]
    if least is not None:
        return f"≥ {least}: {kept}"
    if most is not None:
        return f"≤ {most}: {kept}"
    return ""


def _checklist(checklist: dict[str, Any]) -> Iterator[str]:
    yield f"\n### The requirements' checklist\n\n{checklist['summary']}\n"
    yield from _table("layer", "the requirements' check", "assessment", "ours", "", "found")
    for row in checklist["rows"]:
        command = row["requirement"].partition("\n")[0]
        cells = [
            row["layer"],
            _cell(command),
            row["assessment"],
            row["check"],
            row["outcome"] if row["selected"] else "not selected",
            _cell(row["seen"]),
        ]
        yield _line(cells)


def _cell(text: str) -> str:
    """Format text as code in a table's cell, without the UUID of a GPU."""
    plain = re.sub(r"GPU-[0-9a-f-]{36}", "GPU-…", text).translate(CELL_CHARACTERS)[:MAX_CELL]
    return f"`{plain}`" if plain else ""
