"""The command explain on whole logs: with noise around the cause, of other faults, and healthy."""

from pathlib import Path

import pytest

from tests.support.explanations import explained
from tests.support.timing import LINEAR, growth
from worker_images.files import ROOT
from worker_images.node.explain import diagnose, log_text
from worker_images.node.explain.log_text import Block

REPORTS = ROOT / "tests/unit/reports/noise"
DRIVER = "FATAL ERROR: registering nvproxy driver: unsupported Nvidia driver version: 550.54.14\n"
NO_CAUSE = "no known cause in 1 file"
Capture = pytest.CaptureFixture[str]
# Each log with its causes, most likely first, and texts of the right answer.
ANSWERS: dict[str, tuple[list[str], list[str]]] = {
    "70-healthy-h100-run.log": (
        ["harmless call"],
        ["the sandbox's program ended: exit status 0; nothing above stopped it"],
    ),
    "71-program-import-error.log": ([], [NO_CAUSE, "ImportError: libcudart.so.12"]),
    "72-docker-inspect-exit-1.log": ([], [NO_CAUSE]),
    "73-git-permission-denied.log": ([], [NO_CAUSE]),
    "74-pod-scheduled-later-image-pull.log": (
        ["image not pulled"],
        ["Failed to pull image", "imagePullSecrets"],
    ),
    "75-toolkit-no-libnvidia-ml.log": (["container-cli failed"], ["legacy hook failed"]),
    "76-cdi-generate-warnings.log": ([], [NO_CAUSE]),
    "77-torch-shared-memory-too-many-files.log": (["file handles"], ["LimitNOFILE"]),
    "78-cuda-unknown-error.log": (["call refused"], ["a device is missing, or nvproxy refused"]),
    "79-cc-mode-unknown-command.log": (
        ["wrong ABI", "no GPU"],
        ["control command 0xcb33010c", "if nvproxy refused a call (above), fix that first"],
    ),
    "80-one-gpu-not-opened.log": (["GPU not opened"], ["GPU 0000:65:00.0 and cannot open it"]),
    "81-dra-panic.log": (["nvproxy off in the sandbox"], ['nvproxy = "true"']),
    "82-escaped-driver-in-containerd.log": (["unserved driver"], ["driver 570.211.01"]),
    "83-pod-healthy-teardown.log": ([], [NO_CAUSE]),
    "84-exit-137-of-program.log": ([], [NO_CAUSE, "Liveness probe failed"]),
    "85-program-oom-in-java.log": ([], [NO_CAUSE, "java.lang.OutOfMemoryError"]),
    "86-no-kernel-image.log": (["no code for the GPU"], ["compute_cap"]),
    "87-exec-format-of-script.log": (["wrong binary"], ["a first line such as #!/bin/sh"]),
    "88-several-at-once.log": (
        ["missing capability", "wrong ABI", "GPU memory"],
        ["compute,utility,profiling", "0x20803801", "not a fault of the sandbox"],
    ),
    "89-restore-killed-by-panic.log": (
        ["checkpoint with GPU state"],
        ["--cuda-checkpoint-path", "89-restore-killed-by-panic.log:3"],
    ),
    "90-healthy-nccl.log": ([], [NO_CAUSE]),
    "91-xid-94-contained.log": (["GPU lost"], ["look the Xid up"]),
    "92-docker-cdi-stale.log": (["stale driver files"], ["libcuda.so.535.104.05", "cdi generate"]),
    "93-go-program-killed.log": ([], [NO_CAUSE]),
    "94-busy-gpu.log": (["GPU busy"], ["compute mode must be Default"]),
    "95-toolkit-not-found-shim.log": (["no toolkit for containerd"], ["container toolkit"]),
    "96-one-real-run": (["socket"], ["/run/nvidia-persistenced/socket is a socket"]),
    "98-stale-driver-file": (["stale driver files"], ["mounts /usr/lib/x86_64-linux-gnu/libcuda"]),
    "99-no-gpu-on-node.log": (["no devices"], ["the worker itself cannot open /dev/nvidiactl"]),
    "97-systemd-lost-devices.log": (["NVML refused", "call refused"], ["recreate the container"]),
    "100-tensorflow-no-cudart.log": (["no libcudart"], ["pip install tensorflow[and-cuda]"]),
    "101-oomkilled-false.log": ([], [NO_CAUSE, "ValueError: model revision not found"]),
    "102-full-disk-nccl-tests.log": ([], [NO_CAUSE]),
    "103-xid-45-healthy-teardown.log": ([], [NO_CAUSE]),
    "104-visible-devices-blank.log": (["visible devices"], ["contains ' 1'", "such as 0,1"]),
    "105-committed-image-empty-libcuda.log": (["empty libcuda"], ["build the image with runc"]),
    "106-web-app-subsystem.log": ([], [NO_CAUSE]),
    "107-kata-no-kvm.log": ([], [NO_CAUSE]),
    "108-programs-without-namespaces.log": ([], [NO_CAUSE]),
    "109-metrics-of-reasons.log": ([], [NO_CAUSE]),
    "110-xid-48-then-45.log": (["GPU lost"], ["110-xid-48-then-45.log:1"]),
    "111-xid-79-then-launch-failed.log": (
        ["GPU lost", "program error on the GPU"],
        ["fallen off the bus"],
    ),
    "112-terminal-with-greps.log": ([], [NO_CAUSE, "requests.exceptions.ConnectionError"]),
    "113-rootless-docker.log": ([], [NO_CAUSE]),
    "114-full-disk-libnccl.log": ([], [NO_CAUSE]),
    "115-pod-container-joins-sandbox": (["nvproxy off in the sandbox"], ["9a1sandbox"]),
    "116-pod-one-folder": (["missing capability"], ["compute,utility,video"]),
    "159-checkpoint-program-missing.log": (
        ["no program for GPU memory", "checkpoint with GPU state"],
        ["bundle --checkpoint mounts it"],
    ),
    "160-checkpoint-of-a-sidecar.log": ([], [NO_CAUSE]),
    "161-nccl-restore-killed.log": (
        ["GPU memory that cannot be moved"],
        ['failed with the output "CUDA_ERROR_NOT_SUPPORTED (801, operation not supported)"'],
    ),
}
# Logs with a line that looks like an error beside the cause.
WITH_MORE = (
    "77-torch-shared-memory-too-many-files.log",
    "78-cuda-unknown-error.log",
    "81-dra-panic.log",
    "89-restore-killed-by-panic.log",
    "115-pod-container-joins-sandbox",
)
# Words that were taken for a cause where none is.
UNRELATED = (
    "urllib.error.HTTPError: HTTP Error 304: Not Modified",
    "psycopg.Error 802: too many clients",
    'State: {"OOMKilled": false, "ExitCode": 1}',
    "fork/exec /opt/app/worker: permission denied",
    "fatal: git clone failed: permission denied",
    "WARN[0000] Could not locate nvidia-imex: pattern nvidia-imex not found",
    "sandbox-api: child ended: signal: killed",
    "    Accounting Mode              : GPU access blocked by the operating system",
    'W1 lisafs.go:527] Rejecting attempt to open unix domain socket: "/run/nvidia/socket".',
    "starting io.containerd.runsc.v1 path=/bin/containerd-shim-runsc-v1 error=init.pid: not found",
    "bash: unshare: unshare failed: Operation not permitted",
    "nvidia-uvm: Loaded the UVM driver, major device number 511.",
    "OSError: [Errno 28] No space left on device: '/tmp/model.bin'",
    "I1 cli.go:274] Args: [runsc exec a1 python3 -c print('CUDA out of memory')]",
    '{"log":"strace.go:605] [1:1] python3 X write(2, \\"libcuda.so.1: cannot open shared object',
    '{"msg":"specutils.go:133] Spec:\\n{ \\"args\\": [\\"echo CUDA out of memory\\"] }"}',
    "infer-3 exited OOMKilled=false ExitCode=1",
    "&{Status:exited Restarting:false OOMKilled:false Dead:false}",
    'kube_pod_last_terminated_reason{pod="a",reason="OOMKilled"} 0',
    "NVRM: Xid (PCI:0000:3b:00): 45, pid=88213, name=exe, Ch 00000008",
    "[rootlesskit:parent] error: fork/exec /proc/self/exe: operation not permitted",
    "Error: unshare: operation not permitted",
    "running `/usr/bin/newuidmap 41 0`: newuidmap: write to uid_map failed: not permitted",
    "tar: nccl-tests/build/all_reduce_perf: Cannot write: No space left on device",
    "auth: session subsystem not yet initialized, retry in 1s",
    "unable to attach or mount volumes: failed to process volumes=[models]: permission denied",
    "emulator: CPU acceleration status: /dev/kvm: no such file or directory",
    "render: chrome failed to start: signal: bad system call (core dumped)",
    "root@gpu-a:~# dmesg -T | grep -E 'fallen off the bus|NVRM: RmInitAdapter failed'",
    "$ journalctl -u containerd | grep -c 'CUDA out of memory'",
    "prerun failed: setting up cgroup: open /sys/fs/cgroup/cgroup.procs: permission denied",
    "strace: ptrace(PTRACE_TRACEME): operation not permitted",
    "adb: No devices were found",
    "loaded rule expr=\"increase(xid{msg='GPU has fallen off the bus'}[5m])\" state=inactive",
)


@pytest.mark.parametrize("name", ANSWERS)
def test_log_gets_its_answer_and_no_other_cause(name: str, capsys: Capture) -> None:
    causes, texts = ANSWERS[name]
    code, found, output = explained(capsys, REPORTS / name)
    assert (code, found) == (0 if causes else 5, causes)
    assert [text for text in texts if text not in output] == []
    assert "older runs" not in output
    assert not causes or "not explained" not in output or name in WITH_MORE


@pytest.mark.parametrize("line", UNRELATED)
def test_words_of_other_programs_are_not_a_cause(line: str) -> None:
    assert diagnose.search([Block(f"before\n{line}\nafter\n")]).hits == {}


def test_every_log_with_noise_has_an_answer() -> None:
    assert {path.name for path in REPORTS.iterdir()} == {*ANSWERS}


@pytest.mark.parametrize(("line", "is_error"), [
    ("[14:25:40.038236]\t+0.065s ▉▌          \t│ ... 0.609s ...\t├─ exec error: 0.609s", False),
    ("[14:25:40.038236]\tERROR the model failed", True),
    ("W1127 14:25:40.099167       1 restore.go:590] the model failed", True),
])  # fmt: skip
def test_chart_of_a_restore_has_no_errors(line: str, is_error: bool) -> None:
    found = diagnose.search([Block(f"before\n{line}\nafter\n", "log")])
    assert bool(found.unexplained()) is is_error


def test_harmless_lines_do_not_look_like_errors() -> None:
    text = (REPORTS / "70-healthy-h100-run.log").read_text()
    found = diagnose.search([Block(text, "log")])
    assert found.unexplained() == []


def test_event_of_another_pod_does_not_end_a_cause(tmp_path: Path, capsys: Capture) -> None:
    """In kubectl get events, whose text has no pod's name, a later event may be another's."""
    waits = "  Warning  FailedScheduling  0/3 nodes are available: 3 Insufficient nvidia.com/gpu.\n"
    starts = "  Normal  Scheduled  Successfully assigned gpu/b to gpu-d\n"
    described = f"Name: a\nEvents:\n{waits}"
    for text, causes in (
        (described + starts, []),
        (described + f"Name: b\nEvents:\n{starts}", ["no GPU to assign"]),
        (waits + starts, ["no GPU to assign"]),
        (f"Name: a\nEvents:\n{starts}{waits}", ["no GPU to assign"]),
    ):
        (tmp_path / "log").write_text(text)
        assert explained(capsys, tmp_path / "log")[1] == causes


def test_log_of_a_program_that_failed_by_itself_names_its_output(
    tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "log").write_text("I1121 boot.go:683] application exiting with exit status 7\n")
    code, causes, output = explained(capsys, tmp_path / "log")
    assert (code, causes) == (5, [])
    assert "the sandbox started and its program ended; read the program's own output" in output
    assert "run the sandbox with --debug" not in output


def test_end_of_the_program_is_that_of_the_last_run(tmp_path: Path, capsys: Capture) -> None:
    begin = "I1121 cli.go:274] Args: [runsc --debug --root /r run a]\n"
    end = "I1121 boot.go:683] application exiting with killed by signal 9 (core dumped)\n"
    (tmp_path / "log").write_text(begin + end)
    shown = "the sandbox's program ended: killed by signal 9 (core dumped)"
    assert shown in explained(capsys, tmp_path / "log")[2]
    (tmp_path / "log").write_text(begin + end + begin)
    assert "program ended" not in explained(capsys, tmp_path / "log")[2]


def test_command_in_a_sandbox_begins_no_run(tmp_path: Path, capsys: Capture) -> None:
    """The arguments of runsc exec can hold the word run."""
    line = "I1121 cli.go:274] Args: [runsc --debug {}]\n"
    text = line.format("run a1") + DRIVER + line.format("exec a1 npm run start --x")
    (tmp_path / "log").write_text(text)
    assert explained(capsys, tmp_path / "log")[1] == ["unserved driver"]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("BEGIN", " --a"),
        ("BEGIN", " --a b"),
        ("BEGIN", "Args: [runsc --a b"),
        ("END", "application exiting with a"),
        ("ERROR", "a failed level=x\n"),
        ("ERROR", '{"msg":"a '),
        ("SPECIFICATION", "specutils.go:1] Spec:\n{\n a\n"),
        ("REPEATED", "specutils.go:1"),
    ],
)
def test_lines_of_logs_are_read_in_linear_time(name: str, word: str) -> None:
    pattern = getattr(diagnose, name, None) or getattr(log_text, name)

    def search(count: int) -> None:
        list(pattern.finditer("Args: [runsc" + word * count))

    assert growth(search, 400, LINEAR) < LINEAR
