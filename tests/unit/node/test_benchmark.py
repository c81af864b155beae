"""The benchmark compares the node and the sandbox."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from worker_images.node import benchmark
from worker_images.node.benchmark import METRICS, Measurement
from worker_images.node.node import Node
from worker_images.node.place import Chroot, CommandResult, Host, PlaceError

Measure = Callable[[], list[Measurement]]


@pytest.fixture
def measure(gpu: Node, tmp_path: Path) -> Measure:
    """Run the benchmark on a fake node."""

    def run() -> list[Measurement]:
        host = Host("/runsc", str(tmp_path / "mounts"))
        return benchmark.measure(
            Chroot(tmp_path / "rootfs"), host, gpu, "python3", tmp_path, tmp_path, lambda _: None
        )

    return run


@pytest.mark.parametrize(("key", "node_value", "sandbox_value", "kept"), [
    ("matmul_tflops", 100.0, 97.0, True),
    ("matmul_tflops", 100.0, 96.9, False),
    ("launch_us", 10.0, 11.0, True),
    ("launch_us", 10.0, 11.1, False),
    ("start_s", 1.0, 1.31, False),
    ("allocate_us", 1.0, 9.0, True),
])  # fmt: skip
def test_ratio_is_compared_with_the_bar(
    key: str, node_value: float, sandbox_value: float, kept: bool
) -> None:
    metric = next(each for each in METRICS if each.key == key)
    measurement = Measurement(metric, (node_value, 0.1, 99999.0), (sandbox_value, 0.1, 99999.0))
    assert measurement.kept is kept
    assert ("MISSED" in benchmark.text([measurement])) is not kept
    assert json.loads(benchmark.as_json([measurement]))["metrics"][0]["kept"] is kept


def test_node_and_sandbox_alternate_which_runs_first(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each value is also kept on its side."""
    order: list[str] = []

    def fake(side: str, value: float) -> Callable[..., CommandResult]:
        def reply(*arguments: object, **_: object) -> CommandResult:
            if "find_spec" not in str(arguments):
                order.append(side)
            return CommandResult(
                0,
                json.dumps(dict.fromkeys(("launch_us", "copy_gb_per_s", "matmul_tflops"), value)),
                "",
            )

        return reply

    monkeypatch.setattr(benchmark, "run_command", fake("node", 1.0))
    monkeypatch.setattr(benchmark, "run_sandbox", fake("sandbox", 2.0))
    measured = measure()
    starts = 2 * benchmark.STARTS
    assert order[starts : starts + 6] == ["node", "sandbox", "sandbox", "node", "node", "sandbox"]
    assert len(order) == starts + 2 * (benchmark.DRIVER_ROUNDS + benchmark.TORCH_ROUNDS)
    assert {
        each.metric.key: each.ratio for each in measured if each.metric.key != "start_s"
    } == dict.fromkeys(("launch_us", "copy_gb_per_s", "matmul_tflops"), 2.0)


def launches(*rounds: list[list[float]]) -> Callable[..., CommandResult]:
    """Return a fake of the probe: one result for each round, then the last one repeatedly."""
    left = list(rounds)

    def reply(*arguments: object, **_: object) -> CommandResult:
        missing = "find_spec" in str(arguments)
        return CommandResult(
            int(missing),
            "" if missing else json.dumps({"launch_us": left.pop(0) if len(left) > 1 else left[0]}),
            "",
        )

    return reply


def test_launches_are_compared_at_full_speed_of_the_processor(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repeats with a slow calibration are left out: a busy neighbour made them slow, not runsc."""
    fast, slow = [[4.0, 0.2], [4.2, 0.24]], [[5.7, 0.4], [5.8, 0.41]]
    monkeypatch.setattr(benchmark, "_starts", lambda *_: ((1.0,), (1.0,)))
    monkeypatch.setattr(benchmark, "run_command", launches(fast))
    monkeypatch.setattr(benchmark, "run_sandbox", launches(*6 * [slow], [*fast, *slow]))
    found = measure()
    launch = next(each for each in found if each.metric.key == "launch_us")
    assert launch.ratio == 1.0
    assert len(launch.sandboxed) == benchmark.FULL_SPEED_ROUNDS
    assert len(launch.native) == 6 + benchmark.FULL_SPEED_ROUNDS


def test_slow_launch_misses_the_bar_at_full_speed(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "_starts", lambda *_: ((1.0,), (1.0,)))
    monkeypatch.setattr(benchmark, "run_command", launches([[4.0, 0.2]]))
    monkeypatch.setattr(benchmark, "run_sandbox", launches([[5.7, 0.2]]))
    found = measure()
    assert "MISSED" in benchmark.text(found)


def test_side_that_is_never_at_full_speed_is_an_error(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "_starts", lambda *_: ((1.0,), (1.0,)))
    monkeypatch.setattr(benchmark, "run_command", launches([[4.0, 0.2]]))
    monkeypatch.setattr(benchmark, "run_sandbox", launches([[5.7, 0.4]]))
    with pytest.raises(PlaceError, match="never at full speed on one side in 15 rounds"):
        measure()
