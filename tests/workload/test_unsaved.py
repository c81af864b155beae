"""What can a checkpoint not save? These programs may disturb a GPU, so they run late."""

import re
import time

import pytest

from tests.workload.checkpoints import Checkpoints
from tests.workload.sandboxes import Facts, Seen
from worker_images.node.command import PROBES_MOUNT
from worker_images.node.node import Node
from worker_images.node.place import PlaceError
from worker_images.node.session import Sandbox

pytestmark = pytest.mark.not_in_a_pod

COUNTING = f"{PROBES_MOUNT}/counting.py"
# What a checkpoint of NCCL gets before it is killed.
NCCL_SECONDS = 60.0
# The probe checks each sum before it prints its number; the first may be from before.
NCCL_LINES = 5
# After a failed restore runsc prints nothing; its debug log has the reason.
KILLED = re.compile(r"Killing the sandbox after .*")
NOT_SUPPORTED = "CUDA_ERROR_NOT_SUPPORTED (801"


def test_managed_memory_is_refused_and_the_program_goes_on(
    checkpoints: Checkpoints, python: str, seen: Seen
) -> None:
    """The driver returns 801, CUDA_ERROR_NOT_SUPPORTED."""
    bundle = checkpoints.bundle(python, COUNTING, "--managed")
    with checkpoints.opened(bundle) as opened:
        sandbox = opened.started()
        found = opened.save(sandbox)
        seen(found.errors)
        assert found.status != 0
        assert "801" in found.errors
        assert goes_on(sandbox) or checkpoints.program.startswith(PROBES_MOUNT)


def goes_on(sandbox: Sandbox) -> bool:
    """Report if a program still writes, longer than it takes to read what it wrote before."""
    end = time.monotonic() + 2
    try:
        while time.monotonic() < end:
            sandbox.line(10)
    except PlaceError:
        return False
    return True


def test_nccl_never_continues_with_a_wrong_number(
    checkpoints: Checkpoints, two_gpus: Node, torch: Facts, python: str, seen: Seen
) -> None:
    """It may fail to be saved or restored, or stand still; what is seen says which."""
    assert two_gpus
    assert torch["torch"]["available"] is True
    bundle = checkpoints.bundle(python, f"{PROBES_MOUNT}/endless_reduce.py")
    with checkpoints.opened(bundle) as opened:
        sandbox = opened.started()
        assert sandbox.lines.received[-1] == "20"
        try:
            found = opened.save(sandbox, seconds=NCCL_SECONDS)
        except PlaceError as error:
            seen(f"not saved: {error}")
            return
        if found.status:
            seen(f"not saved: {found.errors}")
            return
        before = int([*sandbox.lines.received, *sandbox.lines.rest()][-1])
        restored = opened.session.restore(opened.image())
        try:
            lines = [int(restored.line(NCCL_SECONDS)) for _ in range(NCCL_LINES)]
        except PlaceError as error:
            killed = KILLED.search(opened.session.log())
            seen(f"saved at {before}, not restored: {killed[0] if killed else error}")
            assert not restored.lines.received
            assert not killed or NOT_SUPPORTED in killed[0]
            return
    seen(f"saved at {before}, continued with {lines}")
    assert lines == [*range(before + 1, before + 1 + NCCL_LINES)]
