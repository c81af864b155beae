"""The command restores measures a model, checks each token, and keeps what it has."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_runsc import FakePlace
from worker_images.node import huge_pages
from worker_images.node.measure import model_runs, restores
from worker_images.node.measure.model_runs import TOKENS, Setup
from worker_images.node.measure.restore_rows import Report
from worker_images.node.node import Node

# Another program on the GPU, which writes its folder in /proc; and a program like gpu-checkpoint.
COUNTING = """
import os, pathlib, time
pathlib.Path(__file__).with_name("another").write_text(f"/proc/{os.getpid()}")
print(1, flush=True)
time.sleep(60)
"""
TOGGLE = """
import os, pathlib, signal, sys
stopped = pathlib.Path(__file__).with_name("stopped")
if sys.argv[1] == "--toggle":
    os.kill(int(sys.argv[-1]), signal.SIGCONT if stopped.exists() else signal.SIGSTOP)
    stopped.unlink() if stopped.exists() else stopped.touch()
"""
ALL = {
    *("start_node_warm", "start_node_cold", "start_sandbox_warm", "start_sandbox_cold"),
    *("save_none", "size_none", "restore_warm", "restore_background_warm"),
    *("restore_cold", "restore_background_cold", "in_a_row", "at_once", "at_once_last"),
    *("save_flate", "size_flate", "restore_flate_warm", "restore_flate_cold"),
    *("save_zeros", "size_zeros", "restore_zeros_warm", "restore_direct_cold"),
    *("at_sandbox", "at_memory", "at_program", "at_token", "read_cold"),
}


def measured(setup: Setup) -> dict[str, Any]:
    """Measure, and return what the report's file has."""
    report = Report(setup.folder / "restores-1b.json", {"model": "1b"})
    restores.measure(setup, report, lambda _: None)
    found: dict[str, Any] = json.loads(report.path.read_text())
    return found


def place(setup: Setup) -> FakePlace:
    assert isinstance(setup.place, FakePlace)
    return setup.place


def values(found: dict[str, Any]) -> dict[str, list[float]]:
    return {row["key"]: row["values"] for row in found["rows"]}


def test_all_figures_are_measured(setup: Setup) -> None:
    found = measured(setup)
    assert [each for each in found["problems"] if "reads of a checkpoint" not in each] == []
    # Not every file system can be read without the page cache.
    assert {*values(found)} - {"read_direct"} == ALL
    assert values(found)["in_a_row"] == [2]
    assert values(found)["at_once"] == [2]
    assert found["facts"]["parameters"] == 1100048384
    assert found["facts"]["cold_by"] == "a test"
    deleted = [call.split()[-1] for call in place(setup).calls if " delete " in call]
    begun = [
        call.split()[-1] for call in place(setup).calls if " run " in call or " restore " in call
    ]
    assert {*begun} == {*deleted}


def test_sides_change_their_order(setup: Setup) -> None:
    lines: list[str] = []
    report = Report(setup.folder / "restores-1b.json", {})
    restores.measure(replace(setup, starts=3, at_once=0, compression=False), report, lines.append)
    starts = [line.split(",")[0] for line in lines if line.startswith("start ")]
    node, sandbox = "start on the node", "start in the sandbox"
    assert starts == [
        *(node, sandbox),
        *(sandbox, node),
        *(node, sandbox, node, sandbox),
        *(sandbox, node, sandbox, node),
    ]


def test_wrong_token_is_a_problem(setup: Setup) -> None:
    """The node's tokens are those that every restore must print."""
    program = setup.probes / "model.py"
    script = "import model\nmodel.serve = lambda number=0, stop=None: print(number + 1, 7)\n"
    runsc = Path(place(setup).runsc)
    runsc.write_text(runsc.read_text().replace("import model\n", script))
    assert program.exists()
    found = measured(setup)
    assert "the model printed '1 7' instead of '1 1000'" in found["problems"][0]


def test_failed_part_leaves_the_others_alone(setup: Setup) -> None:
    place(setup).fail("checkpoint", "checkpoint failed: no space")
    found = measured(setup)
    assert "2 checkpoints and restores in a row: the checkpoint failed" in found["problems"][0]
    assert "no space" in found["problems"][0]
    assert (
        "2 restores at once: no checkpoint exists, because an earlier part failed"
        in (found["problems"])
    )
    assert (
        "reads of a checkpoint, round 1: no checkpoint exists, because an earlier part failed"
        in (found["problems"])
    )
    assert {*values(found)} == {key for key in ALL if key.startswith("start_")}


def test_part_does_not_begin_after_the_time(setup: Setup) -> None:
    found = measured(replace(setup, seconds=-1.0))
    assert found["problems"] == ["saving the model: the time of -1 s was over"]


def test_model_that_is_not_saved_ends_the_run(setup: Setup) -> None:
    found = measured(replace(setup, python="/bin/false"))
    (problem,) = found["problems"]
    assert problem.startswith("saving the model: the model was not saved")


def test_huge_pages_are_set_while_the_model_runs(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine has its own settings again afterwards, and restores without them are measured."""
    shared, compaction = setup.probes / "shmem_enabled", setup.folder / "defrag"
    shared.write_text("always [never] advise")
    compaction.write_text("always [madvise] defer")
    monkeypatch.setattr(huge_pages, "SHARED", shared)
    monkeypatch.setattr(huge_pages, "COMPACTION", compaction)
    monkeypatch.setattr(huge_pages, "SETTINGS", {shared: "within_size"})
    monkeypatch.setattr(huge_pages, "NEVER", {shared: "never"})
    found = measured(replace(setup, huge_pages=True))
    assert found["facts"]["huge_pages"] == "shmem_enabled within_size, defrag madvise"
    assert {*values(found)} - {"read_direct"} == ALL | {"restore_small_warm"}
    begun = [call.split()[0] for call in place(setup).calls if " delete " not in call]
    assert begun.count("never") == restores.SIDE_ROUNDS
    assert {*begun} == {"within_size", "never"}
    assert shared.read_text() == "never"


def test_gpu_is_also_measured_on_the_node_and_beside_another_program(
    setup: Setup, gpu: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that is stopped and continued stands for one whose memory leaves the GPU."""
    monkeypatch.setattr(model_runs, "STILL_SECONDS", 0.1)
    (setup.probes / "counting.py").write_text(COUNTING)
    (setup.probes / "toggle.py").write_text(TOGGLE)
    toggle = (sys.executable, str(setup.probes / "toggle.py"))
    found = measured(replace(setup, node=gpu, on_node=toggle, at_once=0, compression=False))
    assert [each for each in found["problems"] if "reads of a checkpoint" not in each] == []
    counts = {key: len(each) for key, each in values(found).items()}
    assert counts["restore_beside_warm"] == restores.SIDE_ROUNDS
    assert counts["node_on"] == counts["node_off"] == model_runs.MOVES
    other = Path((setup.probes / "another").read_text())
    assert not other.exists()


def test_huge_pages_that_cannot_be_set_are_a_problem(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = setup.folder / "no-such-folder/shmem_enabled"
    monkeypatch.setattr(huge_pages, "SETTINGS", {missing: "within_size"})
    (problem,) = measured(replace(setup, huge_pages=True))["problems"]
    assert problem == (
        f"huge pages: {missing}: No such file or directory; run on the node itself, with a kernel"
        " that has huge pages for shared memory"
    )


def test_first_checkpoint_is_taken_after_all_tokens(setup: Setup) -> None:
    """The first time, each token of a model takes longer."""
    measured(replace(setup, rounds=1, at_once=0, starts=0, compression=False))
    assert int((setup.folder / "checkpoint-none/number").read_text()) >= TOKENS


def test_wrong_token_of_a_warm_up_ends_the_run(setup: Setup) -> None:
    wrong = "model.serve = lambda *_: [print(n, 1000 + (n - 1) % 31) for n in range(1, 40)]"
    runsc = Path(place(setup).runsc)
    runsc.write_text(runsc.read_text().replace("import model\n", f"import model\n{wrong}\n"))
    first, second, *_ = measured(setup)["problems"]
    assert first.endswith("the model printed '32 1000' instead of '32 1031'")
    assert "no sandbox is running, because an earlier part failed" in second


def test_model_uses_the_first_gpu_on_both_sides(setup: Setup, gpu: Node) -> None:
    with_gpu = replace(setup, node=gpu)
    assert with_gpu.gpu == "0"
    assert {"CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=0"} < {*with_gpu.native}
    assert setup.gpu == ""
