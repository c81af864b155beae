"""The benchmark compares the node and the sandbox."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from worker_images.node.measure import benchmark, metrics, page_cache, start_sides, starts
from worker_images.node.measure.metrics import METRICS, Measurement
from worker_images.node.measure.starts import COLD, WARM, Case
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
    assert ("MISSED" in metrics.text([measurement], 1)) is not kept
    assert json.loads(metrics.as_json([measurement], 1))["metrics"][0]["kept"] is kept


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

    monkeypatch.setattr(benchmark, "_imports", lambda *_: {})
    monkeypatch.setattr(benchmark, "run_command", fake("node", 1.0))
    monkeypatch.setattr(benchmark, "run_sandbox", fake("sandbox", 2.0))
    measured = measure()
    starts = 2 * benchmark.STARTS
    assert order[starts : starts + 6] == ["node", "sandbox", "sandbox", "node", "node", "sandbox"]
    rounds = benchmark.DRIVER_ROUNDS + benchmark.TORCH_ROUNDS + benchmark.NCCL_ROUNDS
    assert len(order) == starts + 2 * rounds
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
    assert "MISSED" in metrics.text(found, 1)


def test_side_that_is_never_at_full_speed_is_an_error(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "_starts", lambda *_: ((1.0,), (1.0,)))
    monkeypatch.setattr(benchmark, "run_command", launches([[4.0, 0.2]]))
    monkeypatch.setattr(benchmark, "run_sandbox", launches([[5.7, 0.4]]))
    with pytest.raises(PlaceError, match="never at full speed on one side in 15 rounds"):
        measure()


@pytest.mark.parametrize(("gpus", "torch", "parts"), [
    (2, True, ["driver", "torch", "nccl"]),
    (1, True, ["driver", "torch"]),
    (2, False, ["driver"]),
])  # fmt: skip
def test_nccl_is_measured_with_torch_on_several_gpus(
    gpus: int,
    torch: bool,
    parts: list[str],
    gpu: Node,
    measure: Measure,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[str] = []

    def reply(command: list[str], *_: object) -> CommandResult:
        if "find_spec" in str(command):
            return CommandResult(int(not torch), "", "")
        ran.append(command[-1])
        return CommandResult(0, json.dumps({"copy_gb_per_s": 1.0}), "")

    fewer = dataclasses.replace(gpu, devices=gpu.devices[: 2 + gpus])
    monkeypatch.setattr(type(gpu), "gpus", fewer.gpus)
    monkeypatch.setattr(benchmark, "_starts", lambda *_: ((1.0,), (1.0,)))
    monkeypatch.setattr(benchmark, "_imports", lambda *_: {})
    monkeypatch.setattr(benchmark, "run_command", reply)
    monkeypatch.setattr(
        benchmark, "run_sandbox", lambda *_, **__: CommandResult(0, '{"copy_gb_per_s": 1.0}', "")
    )
    measure()
    assert list(dict.fromkeys(ran)) == parts


def test_imports_are_measured_with_the_page_cache_warm_and_cold(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without torch no import is measured; here each start takes seconds of its own."""

    def case(_: object, program: str, cache: str, __: object) -> Case:
        seconds = {"torch": 2.0, "read": 1.0}[program] * {WARM: 1, COLD: 10}[cache]
        sides = {
            "node": lambda: CommandResult(0, json.dumps({"seconds": seconds}), ""),
            "sandbox": lambda: CommandResult(0, json.dumps({"seconds": 2 * seconds}), ""),
        }
        return Case(program, cache, sides)

    monkeypatch.setattr(start_sides, "case", case)
    monkeypatch.setattr(page_cache, "empty", lambda _: "a test")
    monkeypatch.setattr(benchmark, "_starts", lambda *_: ((1.0,), (1.0,)))
    reply = CommandResult(0, json.dumps({"copy_gb_per_s": 1.0}), "")
    monkeypatch.setattr(benchmark, "run_command", lambda *_: reply)
    monkeypatch.setattr(benchmark, "run_sandbox", lambda *_, **__: reply)
    found = {each.metric.key: each for each in measure()}
    assert {key: found[key].node for key in benchmark.IMPORTS} == {
        "import_warm_s": 2.0,
        "import_cold_s": 20.0,
        "read_cold_s": 10.0,
    }
    assert found["import_cold_s"].ratio == 2.0
    assert len(found["import_cold_s"].sandboxed) == benchmark.IMPORT_ROUNDS


def test_import_that_cannot_be_measured_is_an_error(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = CommandResult(0, json.dumps({"copy_gb_per_s": 1.0}), "")
    monkeypatch.setattr(benchmark, "_starts", lambda *_: ((1.0,), (1.0,)))
    monkeypatch.setattr(benchmark, "run_command", lambda *_: reply)
    monkeypatch.setattr(benchmark, "run_sandbox", lambda *_, **__: reply)
    monkeypatch.setattr(start_sides, "case", lambda *_: None)
    monkeypatch.setattr(starts, "measure", lambda *_: [])
    with pytest.raises(PlaceError, match="import_warm_s, import_cold_s, read_cold_s could not be"):
        measure()


@pytest.mark.parametrize(("gpus", "reason"), [
    (0, "no GPU"),
    (1, "this machine has one GPU"),
    (2, "the user's python has no torch; name one with torch by --python"),
])  # fmt: skip
def test_metric_that_was_not_measured_has_a_reason(gpus: int, reason: str) -> None:
    measured = [Measurement(metric, (1.0,), (1.0,)) for metric in METRICS[:-1]]
    name = "all-reduce of 1 GiB by NCCL, bus bandwidth"
    assert metrics.text(measured, gpus).splitlines()[-1].split(" not run: ") == [
        f"{name}, GB/s".ljust(55),
        reason,
    ]
    (missing,) = json.loads(metrics.as_json(measured, gpus))["not_run"]
    assert (missing["metric"]["name"], missing["reason"]) == (name, reason)
