"""What the sandbox costs: the same program on the node and in the sandbox by turns, medians, as
ratios.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from worker_images.node import bundle
from worker_images.node.command import INSIDE
from worker_images.node.node import Node
from worker_images.node.place import Answer, Bare, Place, PlaceError, answer
from worker_images.node.runsc import sandbox
from worker_images.node.spec import Container

DRIVER_TURNS, TORCH_TURNS = 5, 2
# More turns are taken while the processor was at full speed in fewer than so many, on either side.
FULL_SPEED_TURNS, MOST_DRIVER_TURNS = 3, 15
# A neighbour on the same core makes every program about 1.3 to 2 times slower; what is within a
# quarter of the best had none.
FULL_SPEED = 1.25
STARTS = 7

# A turn's value, or each repeat's with that of the processor's yardstick.
Value = float | list[list[float]]
Said = Mapping[str, Value]
Sides = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Figure:
    """One measure: its name, unit, and the ratio sandbox to node that it may have.

    None for what is only told.
    """

    key: str
    name: str
    unit: str
    least: float | None = None
    most: float | None = None


FIGURES = (
    Figure("matmul_tflops", "product of bf16 matrices, 8192 wide", "TFLOP/s", least=0.97),
    Figure("copy_gb_per_s", "copy from pinned memory", "GB/s", least=0.97),
    Figure("launch_us", "launch of a kernel, the processor at full speed", "µs", most=1.1),
    Figure("start_s", "start of a sandbox: the bare binary, then in the image", "s", most=1.3),
    Figure("launch_torch_us", "launch by torch: one added to a number", "µs"),
    Figure("allocate_us", "memory had and given back", "µs"),
    Figure("import_s", "import of torch", "s"),
)


@dataclass(frozen=True)
class Measured:
    """A figure: a value a turn on the node, and as many or fewer in the sandbox."""

    figure: Figure
    native: tuple[float, ...]
    sandboxed: tuple[float, ...]

    @property
    def node(self) -> float:
        """The median on the node."""
        return statistics.median(self.native)

    @property
    def sandbox(self) -> float:
        """The median in the sandbox."""
        return statistics.median(self.sandboxed)

    @property
    def ratio(self) -> float:
        """Sandbox to node."""
        return self.sandbox / self.node

    @property
    def kept(self) -> bool:
        """Whether the bar holds; what has none keeps it."""
        least, most = self.figure.least, self.figure.most
        return (least is None or self.ratio >= least) and (most is None or self.ratio <= most)


def measure(
    place: Place,
    bare: Bare,
    node: Node,
    python: str,
    probes: Path,
    folder: Path,
    log: Callable[[str], None],
) -> list[Measured]:
    """Measure what this machine can: all with a GPU, without one only the start.

    Raises PlaceError.
    """
    found = {"start_s": _starts(place, bare, node, folder, log)}
    if node.driver:
        found |= _by_turns(place, node, python, probes, folder, log)
    return [Measured(figure, *found[figure.key]) for figure in FIGURES if figure.key in found]


def _by_turns(
    place: Place, node: Node, python: str, probes: Path, folder: Path, log: Callable[[str], None]
) -> dict[str, Sides]:
    """The driver's own calls in many short turns, for they are the restless ones.

    Torch in few, for it takes long to begin.
    """
    found: dict[str, Sides] = {}
    torch = (
        answer(
            [
                python,
                "-c",
                "import importlib.util, sys; sys.exit(not importlib.util.find_spec('torch'))",
            ]
        ).status
        == 0
    )
    for part, turns in (("driver", DRIVER_TURNS), *((("torch", TORCH_TURNS),) if torch else ())):
        native = ["env", *node.native, python, str(probes / "figures.py"), part]
        container = Container(
            Path(place.user), (python, f"{INSIDE}/figures.py", part), {}, ((probes, INSIDE),)
        )
        bundle.write(node, container, made := folder / part, place.host)
        log(f"measuring with {part}, {turns} turns")
        pairs: list[tuple[Said, Said]] = []
        while len(pairs) < turns or (len(pairs) < MOST_DRIVER_TURNS and _too_few(pairs)):
            pairs.append(_pair(native, place, made, sandbox_first=len(pairs) % 2 == 1))
        found |= {key: _compared(key, _sides(pairs, key)) for key in pairs[0][0]}
    return found


def _too_few(pairs: Sequence[tuple[Said, Said]]) -> bool:
    """Whether a figure with a yardstick has seen too few turns at full speed on a side."""
    return any(
        min(map(len, _sides(pairs, key))) < FULL_SPEED_TURNS
        for key, value in pairs[0][0].items()
        if isinstance(value, list)
    )


def _sides(pairs: Sequence[tuple[Said, Said]], key: str) -> Sides:
    """A value a turn on each side: of what has a yardstick, the median of the repeats at full
    speed; turns without any are left out.

    The yardstick is a call that neither runsc nor the driver's kernel side hears of, so both sides
    share its best.
    """
    native, sandboxed = ([side[key] for side in sides] for sides in zip(*pairs, strict=True))
    repeats = [value for value in (*native, *sandboxed) if isinstance(value, list)]
    best = min((yardstick for turn in repeats for _, yardstick in turn), default=0.0)
    return _at_full_speed(native, best), _at_full_speed(sandboxed, best)


def _at_full_speed(turns: Sequence[Value], best: float) -> tuple[float, ...]:
    kept = (
        (
            [value for value, yardstick in turn if yardstick <= best * FULL_SPEED]
            if isinstance(turn, list)
            else [turn]
        )
        for turn in turns
    )
    return tuple(statistics.median(values) for values in kept if values)


def _compared(key: str, sides: Sides) -> Sides:
    if not all(sides):
        raise PlaceError(
            f"{key}: the processor was never at full speed on one side in {MOST_DRIVER_TURNS}"
            " turns; run again when less runs here"
        )
    return sides


def _pair(
    native: Sequence[str], place: Place, made: Path, *, sandbox_first: bool
) -> tuple[Said, Said]:
    """Each side goes first as often as the other, so that what one leaves behind is no burden of
    the other's alone.
    """
    if sandbox_first:
        inside = _read(sandbox(place, made, debug=False))
        return _read(answer(native)), inside
    return _read(answer(native)), _read(sandbox(place, made, debug=False))


def _starts(
    place: Place, bare: Bare, node: Node, folder: Path, log: Callable[[str], None]
) -> Sides:
    log("measuring how long a sandbox takes to start")
    bundles = []
    for where, name in ((bare, "bare"), (place, "in-image")):
        gpus = "all" if node.driver else "none"
        bundle.write(
            node,
            Container(Path(where.user), ("/bin/true",), {}, (), gpus),
            folder / name,
            where.host,
        )
        bundles.append((where, folder / name))
    flags = () if node.driver else ("--nvproxy=false",)
    pairs = [(_timed(*bundles[0], flags), _timed(*bundles[1], flags)) for _ in range(STARTS)]
    return tuple(bare for bare, _ in pairs), tuple(inside for _, inside in pairs)


def _timed(place: Place, made: Path, flags: Sequence[str]) -> float:
    begun = time.perf_counter()
    found = sandbox(place, made, flags, debug=False)
    if found.status:
        raise PlaceError(f"{place.name}: the sandbox does not start: {found.errors.strip()}")
    return time.perf_counter() - begun


def _read(found: Answer) -> Said:
    if found.status:
        raise PlaceError(f"the measuring program failed: {found.errors.strip()[-500:]}")
    measured: Said = json.loads(found.output)
    return measured


def text(measured: Sequence[Measured]) -> str:
    """A table: the node, the sandbox, their ratio, and the bar."""
    lines = [f"{'':55} {'node':>9} {'sandbox':>9} {'ratio':>6}"]
    for each in measured:
        bars = [
            f"{sign} {bar}"
            for sign, bar in (("≥", each.figure.least), ("≤", each.figure.most))
            if bar is not None
        ]
        verdict = f"  {bars[0]} {'ok' if each.kept else 'MISSED'}" if bars else ""
        name = f"{each.figure.name}, {each.figure.unit}"
        lines.append(f"{name:55} {each.node:9.3f} {each.sandbox:9.3f} {each.ratio:6.3f}{verdict}")
    return "\n".join(lines)


def as_json(measured: Sequence[Measured]) -> str:
    """The same for machines."""
    names = ("node", "sandbox", "ratio", "kept")
    rows = [asdict(each) | {name: getattr(each, name) for name in names} for each in measured]
    return json.dumps({"processors": os.cpu_count(), "figures": rows}, indent=1) + "\n"
