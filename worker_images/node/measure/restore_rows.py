"""The figures of checkpoints: each is written as soon as it was measured."""

import json
import statistics
from collections.abc import Mapping
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
_START = "start_sandbox_"

Rows = dict[str, list[float]]


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
    """Return the ratios that have a goal, as far as they were measured.

    A restore is that of the command that `bundle` prints, with --background.
    """
    middle = {key: statistics.median(each) for key, each in values.items()}
    large = middle.get("size_none", 0.0) >= LARGE_GB
    found = []
    for cache in ("warm", "cold"):
        for way, options in (("background", ""), ("direct", " with --direct")):
            words = f"page cache {cache}{options}"
            restore, start = middle.get(f"restore_{way}_{cache}"), middle.get(_START + cache)
            if restore and large:
                found += _rates(words, middle, restore)
            elif restore and start:
                found.append(_part(f"restore : start in the sandbox, {words}", restore / start))
        found += _limits(cache, middle, large=large)
    return found


def _rates(words: str, middle: Mapping[str, float], restore: float) -> list[dict[str, Any]]:
    """Return how fast a large state is restored, and with a cold page cache compared to a read."""
    rate, read = middle["size_none"] / restore, _fastest_read(middle)
    found = [_rate(f"restored state, {words}, GB/s", rate)]
    if read and "cold" in words:
        name = f"restored state : read on the node, {words}"
        found.append(_goal(name, rate / read, f"≥ {LEAST_OF_DISK:g}", rate / read >= LEAST_OF_DISK))
    return found


def _limits(cache: str, middle: Mapping[str, float], *, large: bool) -> list[dict[str, Any]]:
    """Return what the disk or the driver gives alone: if that misses a goal, each restore does."""
    start, driver, read = middle.get(_START + cache), middle.get("node_on"), _fastest_read(middle)
    if cache == "cold" and read and large:
        return [_rate("read of the checkpoint on the node, page cache cold, GB/s", read)]
    if large or not start:
        return []
    words = f"start in the sandbox, page cache {cache}"
    if cache == "cold" and read:
        return [_part(f"read of the checkpoint : {words}", middle["size_none"] / read / start)]
    if cache == "warm" and driver:
        return [_part(f"GPU memory back on the node : {words}", driver / start)]
    return []


def _fastest_read(middle: Mapping[str, float]) -> float:
    return max((middle[key] for key in ("read_cold", "read_direct") if key in middle), default=0.0)


def _rate(name: str, rate: float) -> dict[str, Any]:
    return _goal(name, rate, f"≥ {LEAST_RATE:g}", rate >= LEAST_RATE)


def _part(name: str, ratio: float) -> dict[str, Any]:
    return _goal(name, ratio, f"≤ {MOST_OF_START:.3f}", ratio <= MOST_OF_START)


def _goal(name: str, value: float, bar: str, kept: bool) -> dict[str, Any]:
    return {"name": name, "value": value, "bar": bar, "kept": kept}


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
