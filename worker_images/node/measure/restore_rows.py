"""The figures of checkpoints: each is written as soon as it was measured."""

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from worker_images.files import write_atomic

# Files of a results folder: restores-MODEL.json.
PREFIX = "restores-"
# Names of the figures, with their units, in the order of reports.
NAMES = {
    "start_node_warm": ("start to first token on the node, page cache warm", "s"),
    "start_node_cold": ("start to first token on the node, page cache cold", "s"),
    "start_sandbox_warm": ("start to first token in the sandbox, page cache warm", "s"),
    "start_sandbox_cold": ("start to first token in the sandbox, page cache cold", "s"),
    "node_off": ("GPU memory to the host, the program on the node", "s"),
    "node_on": ("the same back to the GPU, to the next token", "s"),
    "node_state": ("gpu-checkpoint --get-state on the node", "s"),
    "save_none": ("checkpoint without compression", "s"),
    "size_none": ("size of a checkpoint without compression", "GB"),
    "restore_warm": ("restore to next token, page cache warm", "s"),
    "restore_background_warm": ("restore --background to next token, page cache warm", "s"),
    "restore_beside_warm": ("the same while another program uses the GPU", "s"),
    "restore_small_warm": ("restore --background without huge pages, page cache warm", "s"),
    "restore_cold": ("restore to next token, page cache cold", "s"),
    "restore_background_cold": ("restore --background to next token, page cache cold", "s"),
    "restore_direct_cold": ("restore --background --direct to next token, page cache cold", "s"),
    "read_cold": ("read of the checkpoint on the node, page cache cold", "GB/s"),
    "read_direct": ("the same with O_DIRECT", "GB/s"),
    "at_sandbox": (
        "one restore --background, page cache warm: sandbox ready",
        "s",
    ),
    "at_kernel": ("the same restore: state of processes and files loaded", "s"),
    "at_memory": ("the same restore: all memory loaded", "s"),
    "at_helper": ("the same restore: gpu-checkpoint starts", "s"),
    "at_program": ("the same restore: gpu-checkpoint ended", "s"),
    "at_token": ("the same restore: next token", "s"),
    "in_a_row": ("checkpoints and restores in a row, each with the right next token", ""),
    "at_once": ("restores of one checkpoint at once, each with the right next token", ""),
    "at_once_last": ("the last of the restores at once", "s"),
    "save_zeros": ("checkpoint --exclude-committed-zero-pages", "s"),
    "size_zeros": ("size of a checkpoint --exclude-committed-zero-pages", "GB"),
    "restore_zeros_warm": ("restore --background of that to next token, page cache warm", "s"),
    "save_flate": ("checkpoint with flate-best-speed", "s"),
    "size_flate": ("size of a checkpoint with flate-best-speed", "GB"),
    "restore_flate_warm": ("restore of flate-best-speed to next token, page cache warm", "s"),
    "restore_flate_cold": ("restore of flate-best-speed to next token, page cache cold", "s"),
}
# A restore takes at most this part of a start in the sandbox, at 1 billion parameters.
MOST_OF_START = 1 / 12
# GB of a checkpoint that are restored in a second, at 10 GB.
LEAST_RATE = 2.0
LARGE_GB = 10.0
# A large restore with a cold page cache is at least so fast, compared with a read of its files.
LEAST_OF_DISK = 0.9

READ = "read of the checkpoint"

Rows = dict[str, list[float]]
# What was measured, with which page cache, and its seconds.
Time = tuple[str, str, float]


class Report:
    """The figures of one model, in a file that is complete after each of them."""

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path, self.facts = path, dict(facts)
        self.rows: Rows = {}
        self.problems: list[str] = []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._write()

    def add(self, key: str, value: float) -> None:
        """Add a value of a figure."""
        assert key in NAMES
        self.rows.setdefault(key, []).append(value)
        self._write()

    def know(self, **facts: object) -> None:
        """Add facts of the run."""
        self.facts.update(facts)
        self._write()

    def fail(self, problem: str) -> None:
        """Record what was not measured, and why."""
        self.problems.append(problem)
        self._write()

    def _write(self) -> None:
        found = {
            "facts": self.facts,
            "rows": rows(self.rows),
            "goals": goals(self.rows),
            "problems": self.problems,
        }
        write_atomic(self.path, json.dumps(found, indent=1) + "\n")


def rows(values: Rows) -> list[dict[str, Any]]:
    """Return the figures that were measured, with their medians, in order."""
    return [
        {
            "key": key,
            "name": name,
            "unit": unit,
            "median": statistics.median(values[key]),
            "values": values[key],
        }
        for key, (name, unit) in NAMES.items()
        if key in values
    ]


def goals(values: Rows) -> list[dict[str, Any]]:
    """Return what has a goal, as far as it was measured: restores, and two limits beside them.

    The limits are the driver's own time on the node, and a read of the checkpoint.
    """
    middle = {key: statistics.median(each) for key, each in values.items()}
    size = middle.get("size_none", 0.0)
    times = [each for each in _times(middle, size) if each[2]]
    if size >= LARGE_GB:
        return [*_rates(times, size), *_parts_of_a_read(times)]
    return [
        _most(f"{name} : start in the sandbox, page cache {cache}", seconds / start)
        for name, cache, seconds in times
        if (start := middle.get(f"start_sandbox_{cache}"))
    ]


def _times(middle: Mapping[str, float], size: float) -> list[Time]:
    """Return the name, the page cache and the seconds of each; 0 if it was not measured."""
    read = max(middle.get("read_cold", 0.0), middle.get("read_direct", 0.0))
    return [
        ("restore", "warm", middle.get("restore_background_warm", 0.0)),
        ("GPU memory back on the node", "warm", middle.get("node_on", 0.0)),
        ("restore", "cold", middle.get("restore_background_cold", 0.0)),
        ("restore --direct", "cold", middle.get("restore_direct_cold", 0.0)),
        (READ, "cold", size / read if read else 0.0),
    ]


def _rates(times: Iterable[Time], size: float) -> Iterator[dict[str, Any]]:
    for name, cache, seconds in times:
        yield _least(f"{name}, page cache {cache}, GB/s", size / seconds, LEAST_RATE)


def _parts_of_a_read(times: Sequence[Time]) -> Iterator[dict[str, Any]]:
    """Compare the speed of restores with a cold page cache to that of a read."""
    read = sum(seconds for name, _, seconds in times if name == READ)
    for name, cache, seconds in times:
        if read and cache == "cold" and name != READ:
            yield _least(
                f"speed of {name} : {READ}, page cache cold", read / seconds, LEAST_OF_DISK
            )


def _least(name: str, value: float, least: float) -> dict[str, Any]:
    return {"name": name, "value": value, "bar": f"≥ {least:g}", "kept": value >= least}


def _most(name: str, value: float) -> dict[str, Any]:
    kept = value <= MOST_OF_START
    return {"name": name, "value": value, "bar": f"≤ {MOST_OF_START:.3f}", "kept": kept}


def text(found: Mapping[str, Any]) -> str:
    """Return a report's content as a table."""
    names = {
        row["key"]: f"{row['name']}{', ' if row['unit'] else ''}{row['unit']}"
        for row in found["rows"]
    }
    goals = [goal["name"] for goal in found["goals"]]
    width = max(map(len, [*names.values(), *goals]), default=0)
    lines = [f"{'':{width}} {'median':>8}  values"]
    for row in found["rows"]:
        values = _listed(row["values"])
        lines.append(f"{names[row['key']]:{width}} {row['median']:8.2f}  {values}")
    for goal in found["goals"]:
        kept = "ok" if goal["kept"] else "MISSED"
        lines.append(f"{goal['name']:{width}} {goal['value']:8.3f}  {goal['bar']} {kept}")
    return "\n".join([*lines, *(f"not measured: {each}" for each in found["problems"])])


def _listed(values: list[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)
