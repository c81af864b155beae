"""The command explain: a line counts by who wrote it, and by how the program went on after it."""

import re
from pathlib import Path

import pytest

from tests.support.explanations import explained
from tests.support.timing import LINEAR, growth
from worker_images.files import ROOT
from worker_images.node.explain import (
    diagnose,
    error_lines,
    events,
    outcome,
    signatures,
    writers,
    xids,
)
from worker_images.node.explain.log_text import Block

REPORTS = ROOT / "tests/unit/reports/writers"
NO_CAUSE = "no known cause in 1 file"
WENT_ON = "why    the program went on after this line"
Capture = pytest.CaptureFixture[str]
# Each log with its causes, most likely first, and texts of the right answer. Sources of words:
# 125 forums.developer.nvidia.com 369786, 122 and 124 minikube#5463; the others are our own.
ANSWERS: dict[str, tuple[list[str], list[str]]] = {
    "117-nginx-too-many-open-files.log": ([], [NO_CAUSE, "accept4() failed"]),
    "118-cuda-oom-recovered.log": ([], [NO_CAUSE, WENT_ON, "step 12: CUDA out of memory"]),
    "119-tensorflow-allocator-retries.log": ([], [NO_CAUSE, "tries again with less"]),
    "120-cuda-oom-of-a-rank.log": (["GPU memory"], ["120-cuda-oom-of-a-rank.log:6"]),
    "121-cuda-oom-then-key-error.log": ([], [NO_CAUSE, WENT_ON, "KeyError: 'f1'"]),
    "122-events-table.log": (
        ["no GPU to assign", "no runtime handler"],
        ["log:3 (pod gpu/train-0)", "log:5 (pod gpu/sandboxed-a)"],
    ),
    "123-events.json.log": (["no devices"], ["log:62 (pod gpu/infer-0)"]),
    "124-events.yaml.log": (
        ["no GPU to assign", "no runtime handler"],
        ["log:32 (pod gpu/train-1)", "log:14 (pod gpu/sandboxed-b)", "not set up: gvisor"],
    ),
    "125-xid-137-then-94.log": (
        ["GPU lost", "program error on the GPU"],
        ["Xid 94, contained memory error; NVIDIA's catalog: restart the program", "Xid 137"],
    ),
    "126-xids-without-effect.log": (
        [],
        [
            NO_CAUSE,
            "Xid 63, memory row remapped; NVIDIA's catalog: no action",
            "Xid 230, which NVIDIA's catalog does not describe",
            "Xid 172, details of Xid 48: SRAM; NVIDIA's catalog: names no action",
        ],
    ),
    "127-nvidia-smi-probe-in-cpu-pod.log": ([], [NO_CAUSE, WENT_ON, "nvidia-smi: not found"]),
    "128-exec-format-in-a-build.log": ([], [NO_CAUSE, "exec /bin/sh: exec format error"]),
    "129-cause-and-other-errors.log": (
        ["missing capability"],
        ["not explained\n  seen   ", "broken pipe", "ConnectionError", "exit status 1"],
    ),
    "130-containerd-emfile.log": (["file handles of runsc"], ["LimitNOFILE"]),
    "131-go-klog-emfile.log": ([], [NO_CAUSE, "accept4: too many open files"]),
    "132-runsc-emfile.log": (["file handles of runsc"], []),
    "133-accelerate-find-batch.log": ([], [NO_CAUSE, WENT_ON]),
    "134-which-nvidia-smi.log": ([], [NO_CAUSE, WENT_ON]),
    "135-user-runs-nvidia-smi.log": (["no nvidia-smi"], ["log:2"]),
    "136-gke-describe.log": ([], [NO_CAUSE]),
    "137-events-replicaset.log": (["no runtime handler"], ["log:2 (replicaset infer-7d9)"]),
    "138-docker-logs-exec-format.log": (["wrong binary"], ["log:2"]),
    "139-runsc-arch.log": (["runsc of another architecture"], ["uname -m"]),
    "140-argo-init-go-oom.log": ([], [NO_CAUSE, "fatal error: runtime: out of memory"]),
    "141-tf-cpu-libcuda.log": ([], [NO_CAUSE, "nothing shows that it should have a GPU"]),
    "142-gpu-pod-fallback.log": (["no libcuda"], ["driver's files"]),
    "143-imagepull-json.log": (["image not pulled"], ["(pod gpu/infer-0)"]),
    "144-pytest-in-container.log": ([], [NO_CAUSE]),
    "145-two-runs-one-file.log": (["unserved driver"], []),
    "146-oom-of-child-then-ok-exit.log": ([], ["why    the program ended with exit status 0"]),
    "147-crash-loop-oom.log": (["GPU memory"], []),
    "148-wandb-after-oom.log": (["GPU memory"], []),
    "149-events-yaml-doublequote.log": (["capabilities"], ["log:10 (pod gpu/infer-0)"]),
    "150-resolved-pull-events.log": ([], [NO_CAUSE]),
    "151-ulimit-in-program.log": ([], ["[crit] 7#7"]),
    "152-completed-pod.log": ([], ["why    the program ended with exit status 0"]),
    "153-events-of-starts.log": (
        ["file handles of runsc", "no GPU to assign", "image not pulled"],
        ["(pod infer-2)", "(pod infer-0)", "(pod infer-3)"],
    ),
    "154-worker-restarted.log": ([], [NO_CAUSE, WENT_ON]),
    "155-journal-beside-runs": (["unserved driver"], ["boot.log:3"]),
    "156-nccl-imex.log": (["IMEX"], ["log:3", "does not work in this sandbox"]),
    "157-crio-no-handler.log": (["no runtime handler"], ["not set up: gvisor", "CRI-O"]),
    "158-rootless-without-mappings.log": (["forbidden"], ["hostID 0 and size 1"]),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_log_gets_its_answer_by_the_writer_of_its_lines(name: str, capsys: Capture) -> None:
    causes, texts = ANSWERS[name]
    code, found, output = explained(capsys, REPORTS / name)
    assert (code, found) == (0 if causes else 5, causes)
    assert [text for text in texts if text not in output] == []


def test_every_log_of_writers_has_an_answer() -> None:
    assert {path.name for path in REPORTS.iterdir()} == {*ANSWERS}


def test_errors_beside_a_cause_are_few_and_serious_ones_come_first(
    tmp_path: Path, capsys: Capture
) -> None:
    """Lines that differ only in numbers are one; those of an earlier run are left out."""
    begin = "I1121 09:00:01.000001       1 cli.go:274] Args: [runsc --debug run a]\n"
    warnings = "".join(f"W1121 x.go:1] part {name}: cleanup failed\n" for name in "abcdefgh")
    text = (
        f"E1121 x.go:1] an earlier run\n{begin}nvproxy: unknown control command 0x1\n{warnings}"
        + "".join(f"ConnectionError: try {count}\n" for count in range(9))
    )
    (tmp_path / "log").write_text(text)
    _, causes, output = explained(capsys, tmp_path / "log")
    shown = [
        line.rpartition("log:")[2] for line in output.partition("not explained")[2].split("\n")
    ]
    assert causes == ["wrong ABI"]
    assert shown[1] == "20: ConnectionError: try 8"
    assert [line[-17:] for line in shown[2:6]] == [f"{name}: cleanup failed" for name in "efgh"]
    assert "earlier run" not in output


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("accept4: too many open files", ""),
        ("gofer: accept4: too many open files", "file handles of runsc"),
        ("fork/exec ./bin/tool: exec format error", ""),
        ("starting container: exec format error", "wrong binary"),
        ("fork/exec /usr/bin/git: cannot allocate memory", ""),
        ("creating container: fork/exec /x: cannot allocate memory", "no memory for runsc"),
    ],
)
def test_words_count_only_from_the_runtime(line: str, name: str) -> None:
    assert [hit.signature.name for hit in diagnose.search([Block(line)]).hits.values()] == (
        [name] if name else []
    )


def test_xids_have_one_class_and_a_known_action() -> None:
    rows = [(number, row) for each in xids.catalog().values() for number, row in each.items()]
    assert len({number for number, _ in rows}) == len(rows)
    assert {action for _, (_, action) in rows} == {*xids.actions()}


def test_class_of_an_xid_follows_its_action_but_for_named_ones() -> None:
    """NVIDIA's descriptions name the program for 43 and 137, and the memory for 94."""
    named = {
        (each, number)
        for each, rows in xids.catalog().items()
        for number, (_, action) in rows.items()
        if (action == "IGNORE" and each != xids.NOTE)
        or (action == "RESTART_APP" and each != xids.PROGRAM)
        or (action not in {"IGNORE", "RESTART_APP", "XID_154", "WORKFLOW_XID_45", ""})
        != (each == xids.FAULT)
    }
    assert named == {(xids.PROGRAM, "43"), (xids.PROGRAM, "137"), (xids.FAULT, "94")}


@pytest.mark.parametrize(
    ("pattern", "word"),
    [
        (writers.RUNTIME, "failed to create "),
        (writers.BANNER, "Args: [run"),
        (outcome.OUTCOMES["failed"], "exited with "),
        (outcome.OUTCOMES["went"], "batch "),
        (outcome.WANTED, "Falling back to "),
        (error_lines.SERIOUS, "a.b"),
        (error_lines.VARYING, "0a "),
        (events.FOLDED, "  message: a b c d e f g h i j k l m n o p q r s t u v w\n   a\n"),
        (events.ROW, "gpu 2m Warning Failed "),
        (events.OBJECT, '"involvedObject": {"kind": '),
        (events.TIME, 'eventTime": "2026-'),
        (events.KEY, '"name": "'),
        (signatures.XIDS, "<xids: "),
    ],
)
def test_lines_are_assigned_in_linear_time(pattern: re.Pattern[str], word: str) -> None:
    def search(count: int) -> None:
        list(pattern.finditer(word * count))

    assert growth(search, 400, LINEAR) < LINEAR
