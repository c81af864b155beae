"""gpu-checkpoint fails with one sentence: what happened, what it usually means, what to do."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.components.conftest import SOURCE, Run

# Each CUresult that the program explains, by its number in cuda.h, and a part of the advice.
RESULTS = {
    1: "--device-map names all GPUs",
    2: "free host memory",
    3: "has not called CUDA",
    34: "the stub for linking",
    36: "take a newer driver",
    46: "compute mode",
    100: "give the container the GPU's devices",
    101: "a GPU of the checkpoint is missing",
    209: "restore on the same model",
    304: "in its PID namespace",
    400: "check the pid",
    401: "see --get-state",
    600: "with a longer --timeout",
    800: "run as its user or as root",
    801: "managed memory",
    802: "fabric manager",
    803: "mount the libraries of the node's driver",
    804: "use that of the node's driver",
    999: "see the kernel log of the node",
}
MISUSES = {
    "no operation": ([], "no operation"),
    "two operations": (["--toggle", "--get-state"], "more than one operation"),
    "one operation twice": (["--action", "lock", "--action", "unlock"], "more than one operation"),
    "unknown action": (["--action", "stop"], "--action stop: unknown; use lock, checkpoint"),
    "no action": (["--action"], "requires an argument"),
    "unknown option": (["--suspend"], "unrecognized option '--suspend'"),
    "argument": (["--toggle", "12"], "12: unexpected argument"),
    "pid of a word": (["--toggle", "--pid", "self"], "--pid self: not the number of a process"),
    "pid 0": (["--toggle", "--pid", "0"], "--pid 0: not the number"),
    "negative pid": (["--toggle", "--pid", "-1"], "--pid -1: not the number"),
    "large pid": (["--toggle", "--pid", "2147483648"], "--pid 2147483648: not the number"),
    "pid with more": (["--toggle", "--pid", "1x"], "--pid 1x: not the number"),
    "empty pid": (["--toggle", "--pid", ""], "--pid : not the number"),
    "timeout of a word": (["--action", "lock", "--timeout", "1s"], "not a number of milliseconds"),
    "timeout of a toggle": (["--toggle", "--timeout", "9"], "--timeout is only for --action lock"),
    "timeout of another action": (
        ["--action", "unlock", "--timeout", "9"],
        "--timeout is only for --action lock",
    ),
}
GPU = "GPU-00112233-4455-6677-8899-aabbccddeeff"
WRONG_MAPS = {
    "empty": "",
    "one GPU": GPU,
    "no new GPU": f"{GPU}=",
    "no prefix": f"{GPU}={GPU[4:]}",
    "not hexadecimal": f"{GPU}={GPU[:-1]}g",
    "too short": f"{GPU[:-1]}={GPU}",
    "too long": f"{GPU}={GPU}0",
    "another separator": f"{GPU}:{GPU}",
    "end in a comma": f"{GPU}={GPU},",
    "65 pairs": ",".join([f"{GPU}={GPU}"] * 65),
}


@pytest.mark.parametrize("number", RESULTS)
def test_result_of_the_driver_is_explained(number: int, run: Run) -> None:
    answer = run("--action", "checkpoint", faults={"cuCheckpointProcessCheckpoint": number})
    assert (answer.code, answer.output) == (1, "")
    assert f": NAME_OF_{number} ({number}, text of {number}): " in answer.error
    assert RESULTS[number] in answer.error
    assert answer.error.count("\n") == 1


def test_results_are_those_that_the_program_explains() -> None:
    found = re.findall(r"^    \{([0-9]+), \"", SOURCE.read_text(), re.MULTILINE)
    assert [*map(int, found)] == [*RESULTS]


def test_unknown_result_is_reported_by_its_number(run: Run) -> None:
    answer = run("--get-state", faults={"cuCheckpointProcessGetState": 12345})
    assert answer.code == 1
    assert "NAME_OF_12345 (12345, text of 12345): see the CUresult" in answer.error


def test_result_without_a_name_is_reported_by_its_number(run: Run) -> None:
    faults = {"cuCheckpointProcessGetState": 801, "cuGetErrorName": 1, "cuGetErrorString": 1}
    answer = run("--get-state", faults=faults)
    assert ": CUDA error (801, no description): the driver cannot save" in answer.error


@pytest.mark.parametrize("operation", ["--get-state", "--get-restore-tid"])
def test_question_that_fails_prints_no_answer(operation: str, run: Run) -> None:
    """runsc takes the exit code: it then leaves the process as it is."""
    names = ("cuCheckpointProcessGetState", "cuCheckpointProcessGetRestoreThreadId")
    answer = run(operation, faults=dict.fromkeys(names, 3))
    assert (answer.code, answer.output) == (1, "")


@pytest.mark.parametrize("operation", ["--get-state", "--toggle", "--get-restore-tid"])
def test_missing_library_is_reported(operation: str, run: Run) -> None:
    answer = run(operation, library="none")
    assert answer.code == 1
    assert answer.error == (
        "gpu-checkpoint: cannot load NVIDIA's driver library (libcuda.so.1: cannot open shared"
        " object file: No such file or directory); give the container the libraries of the node's"
        " driver, in a folder of its ld.so.cache or of LD_LIBRARY_PATH\n"
    )


def test_library_that_cannot_be_loaded_is_reported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "libraries").mkdir()
    (tmp_path / "libraries/libcuda.so.1").write_text("no library")
    answer = run("--get-state", library="none")
    assert answer.code == 1
    assert "libcuda.so.1: file too short" in answer.error


@pytest.mark.parametrize("operation", ["--get-state", "--toggle", "--get-restore-tid"])
def test_driver_before_branch_570_is_reported(operation: str, run: Run) -> None:
    answer = run(operation, library="old", cuda=12040)
    assert (answer.code, answer.calls) == (1, [])
    assert answer.error == (
        "gpu-checkpoint: libcuda.so.1 supports CUDA 12.4 and has no checkpoints; they need driver"
        " branch 570 or later on the node\n"
    )


def test_function_that_the_library_lacks_is_reported(run: Run) -> None:
    answer = run("--get-restore-tid", library="without threads")
    assert answer.code == 1
    assert "libcuda.so.1 has no cuCheckpointProcessGetRestoreThreadId" in answer.error


@pytest.mark.parametrize("misuse", MISUSES)
def test_wrong_arguments_are_refused_with_the_usage(misuse: str, run: Run) -> None:
    arguments, message = MISUSES[misuse]
    answer = run("--pid", "1", *arguments, pid=0)
    assert (answer.code, answer.output, answer.calls) == (2, "", [])
    first, second, *_ = answer.error.splitlines()
    assert first.startswith("gpu-checkpoint: ")
    assert message in first
    assert second == "usage: gpu-checkpoint --get-state --pid PID"


def test_operation_without_a_process_is_refused(run: Run) -> None:
    answer = run("--toggle", pid=0)
    assert answer.code == 2
    assert answer.error.startswith("gpu-checkpoint: no process; give --pid\n")


@pytest.mark.parametrize("name", WRONG_MAPS)
def test_wrong_device_map_is_refused(name: str, run: Run) -> None:
    answer = run("--action", "restore", "--device-map", WRONG_MAPS[name])
    assert (answer.code, answer.calls) == (2, [])
    assert f"--device-map {WRONG_MAPS[name]}: not OLD=NEW" in answer.error


@pytest.mark.parametrize("arguments", [["--toggle"], ["--action", "lock"]])
def test_device_map_is_refused_for_other_operations(arguments: list[str], run: Run) -> None:
    answer = run(*arguments, "--device-map", f"{GPU}={GPU}")
    assert answer.code == 2
    assert "--device-map is only for --action restore" in answer.error


def test_process_that_has_ended_is_reported(run: Run) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    answer = run("--get-state", pid=ended.pid)
    assert (answer.code, answer.calls) == (1, [])
    assert answer.error == (
        f"gpu-checkpoint: there is no process {ended.pid} in this PID namespace\n"
    )


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_needs_no_library(option: str, run: Run) -> None:
    """CRIU's plugin looks for --action in it."""
    answer = run(option, library="none", pid=0)
    assert (answer.code, answer.error) == (0, "")
    assert answer.output.startswith("usage: gpu-checkpoint --get-state --pid PID\n")
    assert "--action ACTION" in answer.output


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version_needs_no_library(option: str, run: Run) -> None:
    assert run(option, library="none", pid=0).output == "gpu-checkpoint 1.2.3\n"


def test_messages_have_the_name_of_the_program_under_another(built: dict[str, Path]) -> None:
    """runsc starts it as cuda-checkpoint."""
    done = subprocess.run(
        ["cuda-checkpoint", "--suspend"],
        executable=built["program"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.stderr.startswith("gpu-checkpoint: unrecognized option '--suspend'\n")
