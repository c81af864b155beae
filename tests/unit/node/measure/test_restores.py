"""The command restores measures a model, checks each token, and keeps what it has."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support import fake_runsc
from tests.support.fake_runsc import FakePlace
from worker_images.files import ROOT
from worker_images.node import huge_pages
from worker_images.node.cli import main
from worker_images.node.measure import page_cache, restores, restores_command
from worker_images.node.measure.model_runs import TOKENS, Setup
from worker_images.node.measure.restore_rows import Report
from worker_images.node.node import Node
from worker_images.node.place import run_command

ALL = {
    *("start_node_warm", "start_node_cold", "start_sandbox_warm", "start_sandbox_cold"),
    *("save_none", "size_none", "restore_warm", "restore_background_warm"),
    *("restore_cold", "restore_background_cold", "in_a_row", "at_once", "at_once_last"),
    *("save_flate", "size_flate", "restore_flate_warm", "restore_flate_cold"),
    *("save_zeros", "size_zeros", "restore_zeros_warm", "restore_direct_cold"),
    *("at_sandbox", "at_memory", "at_program", "at_token", "read_cold"),
}


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    """A model on a machine without a GPU, with a stand-in for runsc."""
    monkeypatch.setattr(page_cache, "empty", lambda _: "a test")
    for name in ("fake", "work"):
        (tmp_path / name).mkdir()
    return Setup(
        place=fake_runsc.make(tmp_path / "fake"),
        node=Node("", (), (), (), ""),
        python=sys.executable,
        probes=tmp_path / "fake",
        folder=tmp_path / "work",
        size="1b",
        program="",
        mounted=None,
        on_node=(),
        rounds=2,
        at_once=2,
        starts=1,
    )


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
    settings = {shared: "advise", compaction: "defer"}
    monkeypatch.setattr(huge_pages, "SETTINGS", settings)
    monkeypatch.setattr(huge_pages, "NEVER", {shared: "never"})
    found = measured(replace(setup, huge_pages=True))
    assert found["facts"]["huge_pages"] == "shmem_enabled advise, defrag defer"
    assert {*values(found)} - {"read_direct"} == ALL | {"restore_small_warm"}
    begun = [call.split()[0] for call in place(setup).calls if " delete " not in call]
    assert begun.count("never") == restores.SMALL_ROUNDS
    assert {*begun} == {"advise", "never"}
    assert (shared.read_text(), compaction.read_text()) == ("never", "madvise")


def test_huge_pages_that_cannot_be_set_are_a_problem(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = setup.folder / "no-such-folder/shmem_enabled"
    monkeypatch.setattr(huge_pages, "SETTINGS", {missing: "advise"})
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


def test_options_of_the_command_reach_the_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Setup] = []
    monkeypatch.setattr(restores, "measure", lambda setup, *_: found.append(setup))
    monkeypatch.setattr(restores_command, "IMPORTS", "pass")
    image = tmp_path / "image"
    (image / "usr/local/bin").mkdir(parents=True)
    (image / "usr/local/bin/runsc").touch()
    options = ["--image", str(image), "--model", "tiny", "--results", str(tmp_path / "results")]
    more = ["--trust", "--python", "python3", "--huge-pages", "--rounds", "3", "--no-compression"]
    assert main(["restores", *options, *more], ROOT) == 0
    (given,) = found
    assert (given.huge_pages, given.rounds, given.compression) == (True, 3, False)
    assert given.python == shutil.which("python3")
    assert given.native[:2] == ["env", "-i"]


def test_bytecode_of_the_modules_is_known(setup: Setup, tmp_path: Path) -> None:
    """The first import writes it; a module of this python stands for those of transformers."""
    code = restores_command.BYTECODE.replace("transformers", "json")
    assert run_command([sys.executable, "-c", code]).output.strip() == "True"
    without = ["env", f"PYTHONPYCACHEPREFIX={tmp_path}", sys.executable, "-c", code]
    assert run_command(without).output.strip() == "False"
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho True\n")
    python.chmod(0o755)
    assert restores_command.has_bytecode(replace(setup, python=str(python)))
    assert not restores_command.has_bytecode(replace(setup, python="/bin/false"))


def test_model_uses_the_first_gpu_on_both_sides(setup: Setup, gpu: Node) -> None:
    with_gpu = replace(setup, node=gpu)
    assert with_gpu.gpu == "0"
    assert {"CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=0"} < {*with_gpu.native}
    assert setup.gpu == ""


def test_files_below_folders_are_found_in_all_folders(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").touch()
    assert [*page_cache.files_below([tmp_path / "a"])] == [tmp_path / "a/b/c"]


def test_file_system_of_a_path_is_named() -> None:
    assert page_cache.file_system(Path("/proc/self")) == "proc"


def test_python_without_torch_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--image", "image.tar", "--model", "1b", "--results", str(tmp_path)]
    assert main(["restores", *options, "--python", "/bin/false"], ROOT) == 2
    assert "/bin/false has no torch or no transformers" in capsys.readouterr().err


def test_help_names_the_models(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["restores", "--help"], ROOT)
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "1b (1.1 billion, 2.2 GB)",
        "--at-once N",
        "--model 5b --huge-pages --results results",
    ):
        assert words in text
