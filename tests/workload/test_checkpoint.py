"""Does a program that uses GPUs continue after a checkpoint and a restore?"""

import shutil

import pytest

from tests.workload.checkpoints import Checkpoints
from tests.workload.sandboxes import Sandboxes, Seen
from worker_images.node.command import PROBES_MOUNT
from worker_images.node.node import Node
from worker_images.node.session import Sandbox

pytestmark = pytest.mark.not_in_a_pod

COUNTING = f"{PROBES_MOUNT}/counting.py"
UNSAVED = "Can't save pma with non-MemoryFile of type *nvproxy.frontendFDMemmapFile"
IN_A_ROW, AT_ONCE = 10, 8


def number(sandbox: Sandbox) -> int:
    """The first number that a restored sandbox prints."""
    return int(sandbox.first_line()[0])


def test_checkpoint_of_cuda_fails_without_a_helper_program(
    sandboxes: Sandboxes, python: str, seen: Seen
) -> None:
    """runsc cannot save the GPU's memory."""
    without = Checkpoints(sandboxes, "")
    with without.opened(without.bundle(python, COUNTING)) as opened:
        found = opened.save(opened.started())
        assert UNSAVED in opened.session.log() + found.errors
    seen(UNSAVED)


def test_gpu_memory_survives_ten_checkpoints_in_a_row(
    checkpoints: Checkpoints, python: str, seen: Seen
) -> None:
    """The counter in the GPU's memory continues with the next number after each restore."""
    pairs = []
    with checkpoints.opened(checkpoints.bundle(python, COUNTING)) as opened:
        sandbox = opened.started()
        for turn in range(IN_A_ROW):
            before = int(opened.saved(sandbox, str(turn)))
            sandbox = opened.session.restore(opened.image(str(turn)))
            pairs.append((before, number(sandbox)))
            shutil.rmtree(opened.image(str(turn)))
    seen(f"{checkpoints.program}: {pairs}")
    assert [after - before for before, after in pairs] == IN_A_ROW * [1]


def test_eight_restores_at_once_share_a_gpu(
    checkpoints: Checkpoints, python: str, seen: Seen
) -> None:
    """One checkpoint is restored eight times at the same moment, each with the next number."""
    with checkpoints.opened(checkpoints.bundle(python, COUNTING)) as opened:
        before = int(opened.saved(opened.started()))
        restored = [
            opened.session.restore(opened.image(), ["--background"]) for _ in range(AT_ONCE)
        ]
        lines = [each.first_line() for each in restored]
    seen(f"{before}, then {lines}; the last after {max(seconds for _, seconds in lines):.1f} s")
    assert [int(line) for line, _ in lines] == AT_ONCE * [before + 1]


def test_sandbox_that_is_left_running_counts_on(
    checkpoints: Checkpoints, python: str, seen: Seen
) -> None:
    """--leave-running puts the memory back; the checkpoint is restored beside it."""
    with checkpoints.opened(checkpoints.bundle(python, COUNTING)) as opened:
        sandbox = opened.started()
        found = opened.save(sandbox, options=["--leave-running"])
        assert found.status == 0, found.errors
        restored = number(opened.session.restore(opened.image()))
        while int(sandbox.lines.next()) <= restored:
            pass
    seen(f"restored at {restored}, left running past it")


def test_checkpoint_is_restored_on_another_gpu(
    checkpoints: Checkpoints, two_gpus: Node, python: str, seen: Seen
) -> None:
    """Another GPU of the same model, with a bundle of its own."""
    first, second, *_ = (f"minor:{device.minor}" for device in two_gpus.gpus)
    other = checkpoints.bundle(python, COUNTING, gpus=second)
    with checkpoints.opened(checkpoints.bundle(python, COUNTING, gpus=first)) as opened:
        before = int(opened.saved(opened.started()))
        after = number(opened.session.restore(opened.image(), bundle=other))
    seen(f"{before} on {first}, {after} on {second}")
    assert after == before + 1


def test_process_with_two_gpus_is_saved_and_restored(
    checkpoints: Checkpoints, two_gpus: Node, python: str, seen: Seen
) -> None:
    """One process has a counter in the memory of each GPU."""
    assert two_gpus
    bundle = checkpoints.bundle(python, COUNTING, "--gpus", "2")
    with checkpoints.opened(bundle) as opened:
        before = int(opened.saved(opened.started()))
        after = number(opened.session.restore(opened.image()))
    seen(f"{before}, then {after}, on both GPUs")
    assert after == before + 1
