"""gpu-checkpoint calls the driver's library in the right order, with the right arguments."""

import subprocess
from pathlib import Path

import pytest

from tests.unit.components.conftest import Run

STATES = ("running", "locked", "checkpointed", "failed")
ACTIONS = ("lock", "checkpoint", "restore", "unlock")
# Arguments that ask for nothing.
NONE = bytes(64).hex()
OLD, NEW = "00112233-4455-6677-8899-aabbccddeeff", "FFEEDDCC-bbaa-9988-7766-554433221100"
PAIR = f"GPU-{OLD}=GPU-{NEW}"
BYTES = f"{OLD}{NEW}".replace("-", "").lower()


@pytest.mark.parametrize("state", range(4))
def test_state_is_printed_as_runsc_reads_it(state: int, run: Run) -> None:
    answer = run("--get-state", state=state)
    assert (answer.code, answer.output, answer.error) == (0, f"{STATES[state]}\n", "")
    assert answer.names == ["GetState"]


@pytest.mark.parametrize("state", [4, -2])
def test_unknown_state_is_an_error(state: int, run: Run) -> None:
    answer = run("--get-state", state=state)
    assert (answer.code, answer.output) == (1, "")
    assert answer.error.endswith("which this program does not know\n")


def test_toggle_locks_a_running_process_and_takes_it_off_the_gpu(run: Run) -> None:
    answer = run("--toggle")
    assert (answer.code, answer.output, answer.error) == (0, "", "")
    assert answer.names == ["GetState", "Lock", "Checkpoint"]
    assert [given for _, given in answer.calls] == ["", NONE, NONE]


def test_toggle_restores_a_checkpointed_process_and_lets_it_run(run: Run) -> None:
    answer = run("--toggle", state=2)
    assert (answer.code, answer.output, answer.error) == (0, "", "")
    assert answer.names == ["GetState", "pairs", "Restore", "Unlock"]
    assert [given for _, given in answer.calls] == ["", "", NONE, NONE]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (1, "is locked, between running and checkpointed; use --action checkpoint or --action"),
        (3, "only a new process can use the GPU"),
    ],
)
def test_toggle_refuses_other_states(state: int, message: str, run: Run) -> None:
    answer = run("--toggle", state=state)
    assert (answer.code, answer.names) == (1, ["GetState"])
    assert message in answer.error


def test_process_runs_on_after_a_toggle_that_failed(run: Run) -> None:
    """A process that stays locked would wait for the GPU for ever."""
    answer = run("--toggle", faults={"cuCheckpointProcessCheckpoint": 801})
    assert answer.code == 1
    assert answer.names == ["GetState", "Lock", "Checkpoint", "GetState", "Unlock"]
    assert answer.error.count("\n") == 1
    assert "cuCheckpointProcessCheckpoint" in answer.error


@pytest.mark.parametrize(
    ("state", "call", "made"),
    [
        (0, "GetState", ["GetState"]),
        (0, "Lock", ["GetState", "Lock"]),
        (2, "Restore", ["GetState", "pairs", "Restore"]),
        (2, "Unlock", ["GetState", "pairs", "Restore", "Unlock"]),
    ],
)
def test_toggle_ends_at_a_call_that_fails(state: int, call: str, made: list[str], run: Run) -> None:
    answer = run("--toggle", state=state, faults={f"cuCheckpointProcess{call}": 999})
    assert (answer.code, answer.names) == (1, made)
    assert f"cuCheckpointProcess{call} of process " in answer.error


@pytest.mark.parametrize("action", ACTIONS)
def test_action_is_one_call(action: str, run: Run) -> None:
    answer = run("--action", action)
    assert (answer.code, answer.output, answer.error) == (0, "", "")
    assert [name for name in answer.names if name != "pairs"] == [action.capitalize()]
    assert answer.calls[-1][1] == NONE


@pytest.mark.parametrize("action", ACTIONS)
def test_action_that_fails_is_reported(action: str, run: Run) -> None:
    name = f"cuCheckpointProcess{action.capitalize()}"
    answer = run("--action", action, faults={name: 401})
    assert (answer.code, answer.output) == (1, "")
    assert answer.error.startswith(f"gpu-checkpoint: {name} of process ")


@pytest.mark.parametrize("option", ["--timeout", "-t"])
def test_timeout_is_given_to_the_lock(option: str, run: Run) -> None:
    answer = run("--action", "lock", option, "10000")
    assert answer.calls == [("cuCheckpointProcessLock", "10270000" + NONE[8:])]


@pytest.mark.parametrize("count", [1, 2, 64])
def test_device_map_is_given_to_the_restore(count: int, run: Run) -> None:
    answer = run("--action", "restore", "--device-map", ",".join([PAIR] * count))
    assert (answer.code, answer.error) == (0, "")
    number = count.to_bytes(4, "little").hex()
    assert answer.calls == [
        ("pairs", BYTES * count),
        ("cuCheckpointProcessRestore", NONE[:16] + number + NONE[24:]),
    ]


def test_device_map_is_refused_by_a_driver_before_cuda_13(run: Run) -> None:
    answer = run("--action", "restore", "--device-map", PAIR, cuda=12080)
    assert (answer.code, answer.calls) == (1, [])
    assert "the driver supports CUDA 12.8; other GPUs need CUDA 13.0" in answer.error


def test_restore_without_a_device_map_works_before_cuda_13(run: Run) -> None:
    assert run("--action", "restore", cuda=12080).code == 0


def test_restore_thread_is_printed(run: Run) -> None:
    answer = run("--get-restore-tid", pid=1)
    assert (answer.code, answer.output, answer.names) == (0, "2\n", ["GetRestoreThreadId"])


@pytest.mark.parametrize("form", ["--pid=1", "-p1"])
def test_other_forms_of_an_option_are_read(form: str, run: Run) -> None:
    answer = run("--get-restore-tid", form, pid=1)
    assert answer.output == "2\n"


def test_output_that_cannot_be_written_is_an_error(built: dict[str, Path]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [str(built["program"]), "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "gpu-checkpoint: cannot write the answer: No space left on device\n"
