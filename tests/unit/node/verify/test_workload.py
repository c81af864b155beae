"""The checklist's workload rows: all pass for a sound program, and each fails for its own reason
where one thing is spoilt.
"""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.fake_worker import DRIVER, GPU
from worker_images.model.drivers.table import Table
from worker_images.node.place import Answer
from worker_images.node.runsc import Outcome
from worker_images.node.spec import LIBRARIES
from worker_images.node.verify import trial, workload
from worker_images.node.verify.rows import PASSED, Result, Scene, ask
from worker_images.node.verify.trial import Trial


def facts(**changed: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - facts are of many kinds
    """What a sound program saw; an exception in place of a value is its error."""
    found = {
        "kernel": {"version": "Linux version 4.19.0-gvisor\n", "log": "Starting gVisor..."},
        "devices": {"nvidiactl": [195, 255], "nvidia-uvm": [240, 0], "nvidia0": [195, 0]},
        "loader": {f"{LIBRARIES}/libcuda.so.1": f"{LIBRARIES}/libcuda.so.{DRIVER}"},
        "loaded": f"{LIBRARIES}/libcuda.so.{DRIVER}",
        "driver": {"cuda": 13000, "count": 1, "name": "a GPU", "uuid": "GPU-1", "added": True},
        "torch": {
            "version": "2",
            "available": True,
            "count": 1,
            "name": "a GPU",
            "sum": 134217728.0,
        },
        "note": {"status": 0, "output": "CUDA: True\nGPU: a GPU\n", "errors": ""},
    } | changed
    return {
        name: {"error": str(value)} if isinstance(value, Exception) else {"value": value}
        for name, value in found.items()
    }


LOG = f"Args: [runsc-sandbox boot --nvidia-driver-version={DRIVER} x]\n"
SAID = {row.own: Answer(0, "said\n", "") for row in workload.ROWS if row.own}
SOUND = Trial(GPU, facts(), facts(), Outcome(0, "", "", LOG), SAID)


def judged(made: Trial) -> dict[str, Result]:
    scene = Scene(
        lambda _: made.outcome, lambda row: made.said[row.own], Table(), node=GPU, trial=made
    )
    return {row.check: ask(row, scene) for row in workload.ROWS}


def inside(**changed: Any) -> Trial:  # noqa: ANN401 - facts are of many kinds
    return replace(SOUND, inside=facts(**changed))


TORCH, LIBCUDA, SAME, ADDED, NAMED, ACTIVE, ANSWERED = (row.check for row in workload.ROWS)
NO_LIBCUDA = OSError("libcuda.so.1: cannot open shared object file: No such file or directory")
TRIALS: dict[str, tuple[Trial, set[str], str]] = {
    "no torch": (
        inside(torch=ModuleNotFoundError("ModuleNotFoundError: No module named 'torch'")),
        {TORCH},
        "has no torch",
    ),
    "no torch in test_gpu": (
        inside(
            note={
                "status": 1,
                "output": "",
                "errors": "ModuleNotFoundError: No module named 'torch'",
            }
        ),
        {SAME},
        "has no torch",
    ),
    "a wrong sum": (inside(torch=facts()["torch"]["value"] | {"sum": 0.0}), {TORCH}, "are due"),
    "only available": (inside(torch=RuntimeError("CUDA error 304")), {TORCH}, "CUDA error 304"),
    "runc": (
        inside(kernel={"version": "Linux version 6.1.0", "log": ""}),
        {TORCH, ACTIVE},
        "not gVisor's",
    ),
    "compat": (
        inside(loaded="/usr/local/cuda/compat/libcuda.so.550.54.14"),
        {LIBCUDA},
        "another libcuda than the driver's",
    ),
    "stubs": (
        inside(
            loader={
                "/usr/local/cuda/lib64/stubs/libcuda.so.1": "/usr/local/cuda/lib64/stubs/libcuda.so"
            }
        ),
        {LIBCUDA},
        "stubs",
    ),
    "no libcuda": (
        inside(driver=NO_LIBCUDA, loaded=NO_LIBCUDA),
        {LIBCUDA, ADDED, ANSWERED},
        "has no libcuda.so.1",
    ),
    "no CUDA in test_gpu": (
        inside(note={"status": 0, "output": "CUDA: False\n", "errors": ""}),
        {SAME},
        "on the node it said: CUDA: True",
    ),
    "nothing added": (
        inside(driver=facts()["driver"]["value"] | {"added": False}),
        {ADDED},
        "is not the node's",
    ),
    "another GPU": (
        inside(driver=facts()["driver"]["value"] | {"uuid": "GPU-2"}),
        {ADDED},
        "is not the node's",
    ),
    "no CUDA on the node": (
        replace(SOUND, native=facts(driver=NO_LIBCUDA)),
        {ADDED},
        "the node itself does not run CUDA",
    ),
    "a wrong sum on the node": (
        replace(SOUND, native=facts(driver={"added": False, "uuid": ""})),
        {ADDED},
        "the node itself",
    ),
    "nvproxy off": (
        replace(SOUND, outcome=Outcome(0, "", "", "Args: [runsc-sandbox boot]\n")),
        {NAMED},
        "did not take nvproxy",
    ),
    "another device": (
        inside(devices=facts()["devices"]["value"] | {"nvidia-modeset": [195, 254]}),
        {ACTIVE},
        "are due",
    ),
    "unanswered": (
        replace(
            SOUND, outcome=Outcome(0, "", "", f"{LOG}nvproxy: handler is undefined for ioctl 0x1\n")
        ),
        {ANSWERED},
        "does not serve",
    ),
    "no program": (
        replace(SOUND, inside=trial._facts(Answer(128, "", "EOF"))),  # noqa: SLF001
        {TORCH, LIBCUDA, SAME, ADDED, ACTIVE, ANSWERED},
        "EOF",
    ),
}


MISLED = (TORCH, LIBCUDA, SAME, NAMED, ACTIVE)


def test_a_sound_trial_passes() -> None:
    assert {result.finding.state for result in judged(SOUND).values()} == {PASSED}


@pytest.mark.parametrize("name", TRIALS)
def test_a_spoilt_trial_fails(name: str) -> None:
    made, checks, words = TRIALS[name]
    found = judged(made)
    assert {check for check, result in found.items() if result.finding.state != PASSED} == checks
    assert words in " ".join(found[check].finding.cause for check in checks)
    assert any(found[check].misleads for check in checks) is (
        name not in {"no torch", "no torch in test_gpu"} and bool(checks & {*MISLED})
    )
