"""The command explain: reports from the field, folders of runs, outer messages, several causes."""

import io
import os
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from worker_images.files import ROOT
from worker_images.node.cli import main

REPORTS = ROOT / "tests/unit/reports/launch"
DRIVER = "FATAL ERROR: registering nvproxy driver: unsupported Nvidia driver version: {}\n"
SOCKET = 'FATAL ERROR: open("/run/nvidia-persistenced/socket") failed: no such device or address\n'
EOF = "cannot read client sync file: waiting for sandbox to start: EOF\n"
Capture = pytest.CaptureFixture[str]


def explained(capsys: Capture, *paths: Path | str) -> tuple[int, str]:
    code = main(["explain", *map(str, paths)], ROOT)
    return code, capsys.readouterr().out


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names(output: str) -> list[str]:
    """The causes in the order of the answer."""
    lines = output.splitlines()
    return [line for line, after in pairwise(lines) if "  where  " in after]


# Each report with its causes, most likely first, and texts of the right answer.
ANSWERS: dict[str, tuple[list[str], list[str]]] = {
    "10b-535.129.03-on-20250407.log": (
        ["unserved driver"],
        ["dropped in 20240916.0, back in 20250611.0", "set gvisor.version to 20260817.0"],
    ),
    "12-benign-before-fatal.log": (
        ["wrong ABI", "harmless call", "harmless call"],
        ["12-benign-before-fatal.log:5", "allocation class 0x000000f8", "0x20802068", "0x20801230"],
    ),
    "13-ddp-ioctl-212.log": (["wrong ABI"], ["frontend ioctl 212 == 0xd4"]),
    "14-missing-capability.log": (
        ["missing capability", "missing capability", "profiling"],
        ["--nvproxy-allowed-driver-capabilities=compute,utility,profiling"],
    ),
    "15-persistenced-socket.log": (
        ["socket"],
        ["is a socket", "remove", "CDI_FEATURE_FLAGS=disable-ipc-discoverer"],
    ),
    "16-checkpoint.log": (
        ["checkpoint with GPU state"],
        ["--cuda-checkpoint-path", "docs/checkpoints.md"],
    ),
    "19-cdi-params-hook.log": (
        ["hook failed"],
        ["/usr/bin/nvidia-ctk", "only under the name nvidia-cdi-hook, from 20260601.0 on"],
    ),
    "21-cuda-words.log": (["another libcuda"], ["differs from the node's driver"]),
    "21b-no-device-words.log": (["no GPU"], ["linux.devices"]),
    "22-only-eof.log": (
        ["only EOF"],
        ["--debug --debug-log=/var/log/runsc/", "/etc/containerd/runsc.toml", "that folder"],
    ),
    "25b-graphics.log": (
        ["capabilities"],
        ["--nvproxy-allowed-driver-capabilities=compute,graphics,utility"],
    ),
    "23-older-run-in-folder": (
        ["socket"],
        [
            "where  " + str(REPORTS / "23-older-run-in-folder/runsc.log.20261121-090001"),
            "older run of 20261008-131727.790706: unserved driver",
        ],
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_report_gets_its_answer(name: str, capsys: Capture) -> None:
    causes, texts = ANSWERS[name]
    code, output = explained(capsys, REPORTS / name)
    assert (code, names(output)) == (0, causes)
    assert [text for text in texts if text not in output] == []


def test_every_reported_log_has_an_answer() -> None:
    logs = {path.name for path in REPORTS.iterdir() if path.suffix == ".log" or path.is_dir()}
    assert logs == {*ANSWERS}


def test_newest_run_is_explained_and_older_ones_are_named(tmp_path: Path, capsys: Capture) -> None:
    """A run has several files; kill and delete come later and begin no run."""
    for stamp, command, text in (
        ("20261008-131727.790706", "create", ""),
        ("20261008-131727.900000", "boot", DRIVER.format("550.54.14")),
        ("20261121-090001.000001", "create", EOF),
        ("20261121-090001.100000", "gofer", SOCKET),
        ("20261121-090001.200000", "boot", ""),
        ("20261121-090102.000000", "delete", "not found\n"),
    ):
        written(tmp_path / f"runsc.log.{stamp}.{command}.txt", text)
    code, output = explained(capsys, tmp_path)
    assert (code, names(output)) == (0, ["socket"])
    assert "20261121-090001.100000.gofer.txt:1" in output
    assert "older run of 20261008-131727.790706: unserved driver" in output
    assert explained(capsys, *sorted(tmp_path.iterdir())) == (code, output)


def test_newest_run_without_a_cause_says_so(tmp_path: Path, capsys: Capture) -> None:
    written(tmp_path / "r.20261008-131727.1.boot.txt", DRIVER.format("550.54.14"))
    written(tmp_path / "r.20261121-090001.1.boot.txt", "W1121 FATAL ERROR: an unknown reason\n")
    code, output = explained(capsys, tmp_path)
    assert code == 5
    assert "no known cause in 1 file of the newest run (20261121-090001.1)" in output
    assert "r.20261121-090001.1.boot.txt:1: W1121 FATAL ERROR: an unknown reason" in output
    assert "older run of 20261008-131727.1: unserved driver" in output


def test_folders_of_containers_are_runs_by_their_time(tmp_path: Path, capsys: Capture) -> None:
    """The names of containerd's shim have no time: /var/log/runsc/%ID%/gvisor.%COMMAND%.log."""
    old = written(tmp_path / "a/gvisor.boot.log", DRIVER.format("550.54.14"))
    written(tmp_path / "b/gvisor.create.log", EOF)
    written(tmp_path / "b/gvisor.boot.log", SOCKET)
    os.utime(old, (1, 1))
    code, output = explained(capsys, tmp_path)
    assert (code, names(output)) == (0, ["socket"])
    assert "older run of 19700101-" in output


def test_number_of_runs_that_were_not_read_is_shown(tmp_path: Path, capsys: Capture) -> None:
    for day in range(1, 9):
        log = written(tmp_path / f"{day}/gvisor.boot.log", DRIVER.format(f"550.54.1{day}"))
        os.utime(log, (day * 86400, day * 86400))
    _, output = explained(capsys, tmp_path)
    assert output.count("older run of 1970010") == 5
    assert "2 more were not read; to explain one, name its folder or files" in output


def test_earlier_run_in_the_same_file_is_older(tmp_path: Path, capsys: Capture) -> None:
    """runsc appends to --debug-log=FILE."""
    begin = "I1121 09:00:01 cli.go:274] Args: [runsc --debug run {}]\n"
    text = begin.format("a") + DRIVER.format("550.54.14") + begin.format("b") + SOCKET
    code, output = explained(capsys, written(tmp_path / "log", text))
    assert (code, names(output)) == (0, ["socket"])
    assert "an earlier run in the same file: unserved driver" in output


def test_standard_input_is_read(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.BytesIO(DRIVER.format("550.54.14").encode())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=text))
    code, output = explained(capsys, "-")
    assert (code, names(output)) == (0, ["unserved driver"])
    assert "where  standard input:1" in output
    monkeypatch.setattr("sys.stdin", None)
    assert main(["explain", "-"], ROOT) == 2


def test_kubectl_describe_is_read(tmp_path: Path, capsys: Capture) -> None:
    text = (
        "Name:  worker\n    Last State:   Terminated\n      Reason:     OOMKilled\nEvents:\n"
        "  Warning  FailedScheduling  2m  default-scheduler  0/3 nodes are available: 3"
        " Insufficient nvidia.com/gpu.\n  Warning  FailedCreatePodSandBox  1m  kubelet  Failed to"
        " create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime: no"
        ' runtime for "gvisor" is configured\n'
    )
    code, output = explained(capsys, written(tmp_path / "describe", text))
    assert code == 0
    assert names(output) == ["sentry out of memory", "no GPU to assign", "no runtime handler"]
    assert f"where  {tmp_path}/describe:3" in output


def test_containerds_message_with_the_reason_in_it_is_explained(
    tmp_path: Path, capsys: Capture
) -> None:
    outer = (REPORTS / "22-only-eof.log").read_text().rstrip()
    inner = r"\"disallowed driver capabilities requested: \\\"video\\\" (allowed"
    code, output = explained(capsys, written(tmp_path / "log", f"{outer}\n{SOCKET}{inner}"))
    assert (code, "only EOF" in names(output), names(output)[0]) == (0, False, "socket")


def test_several_causes_are_all_named_and_the_rest_is_shown(
    tmp_path: Path, capsys: Capture
) -> None:
    text = DRIVER.format("550.54.14") + SOCKET + "panic: something else\n"
    code, output = explained(capsys, written(tmp_path / "log", text))
    assert (code, names(output)) == (0, ["unserved driver", "socket"])
    assert f"not explained\n  seen   {tmp_path}/log:3: panic: something else" in output
    assert SOCKET.strip() not in output.partition("not explained")[2]


def test_step_of_several_calls_is_shown_once(tmp_path: Path, capsys: Capture) -> None:
    calls = "".join(f"nvproxy: unknown control command {number:#x} (\n" for number in range(1, 4))
    _, output = explained(capsys, written(tmp_path / "log", calls))
    assert names(output) == ["wrong ABI"] * 3
    assert output.count("  next   as above") == 2


def test_what_follows_from_a_cause_is_shown_without_one(tmp_path: Path, capsys: Capture) -> None:
    """EOF follows from a failed start, and 304 from a refused call; not the other way round."""
    refused = "CUDA error: OS call failed or operation not supported on this OS\n"
    call = "nvproxy: unknown control command 0x1 (paramsSize=4)\n"
    for text, causes in (
        (EOF + SOCKET, ["socket"]),
        (EOF + refused, ["call refused", "only EOF"]),
        (SOCKET + refused, ["socket", "call refused"]),
        (call + refused, ["wrong ABI"]),
        (call.replace("0x1 ", "0x20802068 ") + refused, ["call refused", "harmless call"]),
    ):
        _, output = explained(capsys, written(tmp_path / "log", text))
        assert names(output) == causes


def test_text_without_a_cause_shows_its_errors(tmp_path: Path, capsys: Capture) -> None:
    text = "all is well\nE0101 12:00:00 broken\nan error: failed\nImportError: no module\n"
    code, output = explained(capsys, written(tmp_path / "log", text))
    assert code == 5
    assert f"{tmp_path}/log:2: E0101 12:00:00 broken" in output
    assert f"{tmp_path}/log:3: an error: failed" in output
    assert f"{tmp_path}/log:4: ImportError: no module" in output
    assert "all is well" not in output


def test_runsc_that_starts_itself_again_is_no_later_run(tmp_path: Path, capsys: Capture) -> None:
    """--rootless does; its second log may come after those of the sandbox."""
    begin = "Args: [{} --rootless run --bundle=/b one]\n"
    text = begin.format("runsc") + DRIVER.format("580.1.1") + begin.format("/proc/self/exe") + EOF
    log = written(tmp_path / "log", text)
    assert "does not serve the node's driver 580.1.1" in explained(capsys, log)[1]
    # The control: another run of the user's.
    log.write_text(text.replace("/proc/self/exe", "runsc"))
    assert (
        "does not serve the node's driver 580.1.1"
        not in explained(capsys, log)[1].split("earlier")[0]
    )
