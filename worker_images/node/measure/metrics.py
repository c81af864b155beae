"""The metrics of the benchmark, and their values on the node and in the sandbox."""

import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

# Reasons why a metric was not measured.
NO_GPU = "no GPU"
ONE_GPU = "this machine has one GPU"
IN_A_POD = "in a pod, the start of kubectl is a part of it"
NO_TORCH = "the user's python has no torch; name one with torch by --python"
START = "start_s"


@dataclass(frozen=True)
class Metric:
    """A metric: its name, its unit, and the bar for the ratio of sandbox to node.

    A metric without a bar is only reported. It needs as many GPUs as `gpus`.
    """

    key: str
    name: str
    unit: str
    least: float | None = None
    most: float | None = None
    gpus: int = 1

    @property
    def title(self) -> str:
        """The name with the unit."""
        return f"{self.name}, {self.unit}"


METRICS = (
    Metric("matmul_tflops", "product of bf16 matrices, 8192 wide", "TFLOP/s", least=0.97),
    Metric("copy_gb_per_s", "copy from pinned memory", "GB/s", least=0.97),
    Metric("launch_us", "launch of a kernel, the processor at full speed", "µs", most=1.1),
    Metric(START, "start of a sandbox: on the host, then in the image", "s", most=1.3),
    Metric("launch_torch_us", "launch by torch: one added to a number", "µs"),
    Metric("allocate_us", "allocation and release of memory", "µs"),
    Metric("import_warm_s", "import of torch, its files in memory", "s"),
    Metric("import_cold_s", "import of torch, its files on the disk", "s"),
    Metric("read_cold_s", "read of these files from the disk", "s"),
    Metric(
        "all_reduce_gb_per_s",
        "all-reduce of 1 GiB by NCCL, bus bandwidth",
        "GB/s",
        least=0.95,
        gpus=2,
    ),
)


@dataclass(frozen=True)
class Measurement:
    """The values of a metric on the node and in the sandbox, at most one for each round."""

    metric: Metric
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
        """The ratio of sandbox to node."""
        return self.sandbox / self.node

    @property
    def kept(self) -> bool:
        """Report if the ratio meets the bar; true without a bar."""
        least, most = self.metric.least, self.metric.most
        return (least is None or self.ratio >= least) and (most is None or self.ratio <= most)


def not_run(measurements: Sequence[Measurement], gpus: int) -> list[tuple[Metric, str]]:
    """Return each metric that was not measured, with the reason, on a node with so many GPUs."""
    measured = {each.metric for each in measurements}
    return [(metric, _reason(metric, gpus)) for metric in METRICS if metric not in measured]


def _reason(metric: Metric, gpus: int) -> str:
    if metric.key == START:
        return IN_A_POD
    if gpus < metric.gpus:
        return NO_GPU if not gpus else ONE_GPU
    return NO_TORCH


def text(measurements: Sequence[Measurement], gpus: int) -> str:
    """Return a table with node, sandbox, ratio and bar, or the reason why a metric has none."""
    lines = [f"{'':55} {'node':>9} {'sandbox':>9} {'ratio':>6}"]
    for each in measurements:
        bars = [
            f"{sign} {bar}"
            for sign, bar in (("≥", each.metric.least), ("≤", each.metric.most))
            if bar is not None
        ]
        bar = f"  {bars[0]} {'ok' if each.kept else 'MISSED'}" if bars else ""
        name = each.metric.title
        lines.append(f"{name:55} {each.node:9.3f} {each.sandbox:9.3f} {each.ratio:6.3f}{bar}")
    lines += [f"{metric.title:55} not run: {why}" for metric, why in not_run(measurements, gpus)]
    return "\n".join(lines)


def as_json(measurements: Sequence[Measurement], gpus: int) -> str:
    """Return the measurements as JSON, and the metrics that were not measured."""
    names = ("node", "sandbox", "ratio", "kept")
    rows = [asdict(each) | {name: getattr(each, name) for name in names} for each in measurements]
    missing = [
        {"metric": asdict(metric), "reason": reason}
        for metric, reason in not_run(measurements, gpus)
    ]
    found = {"processors": os.cpu_count(), "metrics": rows, "not_run": missing}
    return json.dumps(found, indent=1) + "\n"
