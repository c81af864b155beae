"""Measures the cost of the sandbox: runs one program on the node and in the sandbox, in rounds."""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from worker_images.node.bundle import bundle
from worker_images.node.command import PROBES_MOUNT
from worker_images.node.measure import start_sides, starts
from worker_images.node.measure.metrics import METRICS, Measurement
from worker_images.node.measure.native import native_command
from worker_images.node.measure.start_options import DEFAULT
from worker_images.node.measure.start_sides import NODE
from worker_images.node.measure.starts import COLD, WARM
from worker_images.node.node import Node
from worker_images.node.place import (
    CommandResult,
    Host,
    Place,
    PlaceError,
    RunningContainer,
    run_command,
)
from worker_images.node.runsc import run_sandbox
from worker_images.node.spec import Container

DRIVER_ROUNDS, TORCH_ROUNDS, NCCL_ROUNDS = 5, 2, 2
HAS_TORCH = "import importlib.util, sys; sys.exit(not importlib.util.find_spec('torch'))"
# Rounds are added until the processor was at full speed in so many of them, on either side.
FULL_SPEED_ROUNDS, MAX_DRIVER_ROUNDS = 3, 15
# A busy neighbour on the same core makes every program 1.3 to 2 times slower. Repeats within a
# quarter of the best calibration had none.
FULL_SPEED = 1.25
STARTS = 7
# Each metric of an import: what is started, and with which page cache. The files of the import are
# also only read, which shows what the disk gives.
IMPORTS = {
    "import_warm_s": ("torch", WARM),
    "import_cold_s": ("torch", COLD),
    "read_cold_s": ("read", COLD),
}
IMPORT_ROUNDS, IMPORT_SECONDS = 3, 300.0

# The value of a round, or a pair for each repeat: its value and its calibration.
Value = float | list[list[float]]
Sample = Mapping[str, Value]
Sides = tuple[tuple[float, ...], tuple[float, ...]]


def measure(
    place: Place,
    host: Host,
    node: Node,
    python: str,
    probes: Path,
    folder: Path,
    log: Callable[[str], None],
) -> list[Measurement]:
    """Measure every metric that this machine can run: without a GPU only the start of a sandbox.

    The start of one in a pod includes that of kubectl, so it is not measured. Raises PlaceError.
    """
    in_a_pod = isinstance(place, RunningContainer)
    values = {} if in_a_pod else {"start_s": _starts(place, host, node, folder, log)}
    if node.driver:
        values |= _rounds(place, node, python, probes, folder, log)
    return [Measurement(metric, *values[metric.key]) for metric in METRICS if metric.key in values]


def _rounds(
    place: Place, node: Node, python: str, probes: Path, folder: Path, log: Callable[[str], None]
) -> dict[str, Sides]:
    """Measure calls of the driver in many short rounds, because they vary most.

    torch takes long to start, so what needs it is measured in few.
    """
    values: dict[str, Sides] = {}
    torch = run_command(native_command(node, python, "-c", HAS_TORCH)).status == 0
    parts = {"driver": DRIVER_ROUNDS}
    if torch:
        parts["torch"] = TORCH_ROUNDS
    if torch and len(node.gpus) > 1:
        parts["nccl"] = NCCL_ROUNDS
    for part, rounds in parts.items():
        on_node = native_command(node, python, str(probes / "benchmark.py"), part)
        container = Container(
            Path(place.clean_root),
            (python, f"{PROBES_MOUNT}/benchmark.py", part),
            {},
            ((probes, PROBES_MOUNT),),
        )
        path = folder / part
        bundle.write(node, container, path, place.host)
        log(f"measuring with {part}, {rounds} rounds")
        pairs: list[tuple[Sample, Sample]] = []
        while len(pairs) < rounds or (len(pairs) < MAX_DRIVER_ROUNDS and _too_few(pairs)):
            pairs.append(_pair(on_node, place, path, sandbox_first=len(pairs) % 2 == 1))
        values |= {key: _checked(key, _sides(pairs, key)) for key in pairs[0][0]}
    return values | (_imports(place, node, python, probes, folder, log) if torch else {})


def _imports(
    place: Place, node: Node, python: str, probes: Path, folder: Path, log: Callable[[str], None]
) -> dict[str, Sides]:
    """Measure the import of torch with the page cache warm, and cold."""
    log("measuring imports; this empties the page cache of the machine")
    bench = start_sides.prepared(place, node, python, probes, folder / "imports")
    cases = [start_sides.case(bench, *each, ()) for each in IMPORTS.values()]
    found = starts.measure(cases, IMPORT_ROUNDS, IMPORT_SECONDS, log)
    measured = {(each.case.name, each.case.cache): each for each in found}
    if missing := [key for key, each in IMPORTS.items() if each not in measured]:
        raise PlaceError(f"{', '.join(missing)} could not be measured; the messages before say why")
    return {
        key: (measured[each].inside(NODE), measured[each].inside(DEFAULT.name))
        for key, each in IMPORTS.items()
    }


def _too_few(pairs: Sequence[tuple[Sample, Sample]]) -> bool:
    """Report if a calibrated metric has too few rounds at full speed on a side."""
    return any(
        min(map(len, _sides(pairs, key))) < FULL_SPEED_ROUNDS
        for key, value in pairs[0][0].items()
        if isinstance(value, list)
    )


def _sides(pairs: Sequence[tuple[Sample, Sample]], key: str) -> Sides:
    """Return the values of a metric on each side, one for each round.

    A calibrated metric has the median of its repeats at full speed; rounds without such repeats are
    left out. The calibration is a call that reaches neither runsc nor the kernel driver, so both
    sides share its best value.
    """
    native, sandboxed = ([side[key] for side in sides] for sides in zip(*pairs, strict=True))
    repeats = [value for value in (*native, *sandboxed) if isinstance(value, list)]
    best = min((calibration for round_ in repeats for _, calibration in round_), default=0.0)
    return _at_full_speed(native, best), _at_full_speed(sandboxed, best)


def _at_full_speed(rounds: Sequence[Value], best: float) -> tuple[float, ...]:
    kept = (
        (
            [value for value, calibration in round_ if calibration <= best * FULL_SPEED]
            if isinstance(round_, list)
            else [round_]
        )
        for round_ in rounds
    )
    return tuple(statistics.median(values) for values in kept if values)


def _checked(key: str, sides: Sides) -> Sides:
    if not all(sides):
        raise PlaceError(
            f"{key}: the processor was never at full speed on one side in {MAX_DRIVER_ROUNDS}"
            " rounds; run again when the machine is less busy"
        )
    return sides


def _pair(
    native: Sequence[str], place: Place, path: Path, *, sandbox_first: bool
) -> tuple[Sample, Sample]:
    """Run both sides; the caller alternates which is first, so that neither always profits."""
    if sandbox_first:
        sandboxed = _read(run_sandbox(place, path, debug=False))
        return _read(run_command(native)), sandboxed
    return _read(run_command(native)), _read(run_sandbox(place, path, debug=False))


def _starts(
    place: Place, host: Host, node: Node, folder: Path, log: Callable[[str], None]
) -> Sides:
    log("measuring the start of a sandbox")
    bundles = []
    for where, name in ((host, "host"), (place, "in-image")):
        gpus = "all" if node.driver else "none"
        bundle.write(
            node,
            Container(Path(where.clean_root), ("/bin/true",), {}, (), gpus),
            folder / name,
            where.host,
        )
        bundles.append((where, folder / name))
    flags = () if node.driver else ("--nvproxy=false",)
    pairs = [(_timed(*bundles[0], flags), _timed(*bundles[1], flags)) for _ in range(STARTS)]
    return tuple(native for native, _ in pairs), tuple(sandboxed for _, sandboxed in pairs)


def _timed(place: Place, path: Path, flags: Sequence[str]) -> float:
    begin = time.perf_counter()
    result = run_sandbox(place, path, flags, debug=False)
    if result.status:
        raise PlaceError(f"{place.name}: the sandbox did not start: {result.errors.strip()}")
    return time.perf_counter() - begin


def _read(result: CommandResult) -> Sample:
    if result.status:
        raise PlaceError(f"the benchmark program failed: {result.errors.strip()[-500:]}")
    sample: Sample = json.loads(result.output)
    return sample
