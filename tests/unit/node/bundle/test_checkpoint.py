"""The command bundle prepares containers that runsc will save and restore."""

import json
from pathlib import Path

import pytest

from worker_images.files import ROOT
from worker_images.node import huge_pages, node
from worker_images.node.cli import main
from worker_images.node.lint import lint
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.node import Node
from worker_images.node.spec import CHECKPOINT

Capture = pytest.CaptureFixture[str]


def run(folder: Path, *more: str) -> int:
    paths = ["--rootfs", f"{folder}/rootfs", "--into", f"{folder}/bundle"]
    return main(["bundle", *paths, *more, "--", "true"], ROOT)


@pytest.fixture
def program(gpu: Node, tmp_path: Path) -> Path:
    """A stand-in for gpu-checkpoint, on a node with GPUs."""
    assert gpu.driver
    path = tmp_path / "gpu-checkpoint"
    path.touch(0o755)
    return path


def mounts(folder: Path) -> dict[str, tuple[str, list[str]]]:
    config = json.loads((folder / "bundle/config.json").read_text())
    return {
        mount["destination"]: (mount["source"], mount.get("options", []))
        for mount in config["mounts"]
    }


def test_program_is_mounted_read_only_and_passes_lint(program: Path, tmp_path: Path) -> None:
    assert run(tmp_path, f"--checkpoint={program}") == 0
    source, options = mounts(tmp_path)[CHECKPOINT]
    assert source == str(program)
    assert "ro" in options
    config = json.loads((tmp_path / "bundle/config.json").read_text())
    errors = [
        each
        for each in lint.findings(LaunchRequest(config, node.read(), ("--nvproxy",)))
        if each.severity == lint.ERROR and "gpu-checkpoint" in str(each)
    ]
    assert not errors


def test_commands_that_save_and_restore_are_printed(
    program: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert run(tmp_path, f"--checkpoint={program}") == 0
    flags = "--network=none --platform=systrap --ignore-cgroups --overlay2=root:memory --nvproxy"
    output = capsys.readouterr().out
    assert (
        f"save    runsc {flags} checkpoint --cuda-checkpoint-path={CHECKPOINT}"
        " --image-path=CHECKPOINT --compression=none NAME\n" in output
    )
    assert (
        f"restore runsc {flags} restore --detach --background --bundle={tmp_path}/bundle"
        " --image-path=CHECKPOINT NEW-NAME\n" in output
    )
    assert "mode 0700" in output
    assert "a pipe for each output" in output


@pytest.mark.parametrize(
    ("shared", "noted"), [("never", True), ("advise", True), ("within_size", False)]
)
def test_machine_without_huge_pages_is_noted(
    program: Path,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    shared: str,
    noted: bool,
) -> None:
    for name in ("shmem_enabled", "defrag"):
        (tmp_path / name).write_text(f"always [{shared}]")
    monkeypatch.setattr(huge_pages, "SHARED", tmp_path / "shmem_enabled")
    monkeypatch.setattr(huge_pages, "COMPACTION", tmp_path / "defrag")
    assert run(tmp_path, f"--checkpoint={program}") == 0
    output = capsys.readouterr().out
    note = f"/shmem_enabled; this machine has {shared}"
    assert (note in output) is noted


def test_json_has_the_commands_only_with_the_option(
    program: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert run(tmp_path, f"--checkpoint={program}", "--json", "--memory", "1g") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["save"][-1], found["restore"][-1]) == ("NAME", "NEW-NAME")
    assert "--ignore-cgroups" not in found["save"] + found["restore"]
    assert run(tmp_path, "--json") == 0
    assert not {"save", "restore"} & json.loads(capsys.readouterr().out).keys()
    assert CHECKPOINT not in mounts(tmp_path)


def test_worker_without_the_program_is_refused(
    program: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert run(tmp_path, f"--checkpoint={program}-2") == 2
    error = capsys.readouterr().err
    assert f"--checkpoint: {program}-2 does not exist; use a worker image that holds" in error
    assert not (tmp_path / "bundle").exists()


def test_path_is_that_of_the_worker_where_runsc_runs_in_a_container(
    program: Path, tmp_path: Path
) -> None:
    """The program belongs to the worker's image, not to the node's root."""
    assert program.exists()
    assert run(tmp_path, "--checkpoint", "--host", "/host") == 0
    assert mounts(tmp_path)[CHECKPOINT][0] == CHECKPOINT


def test_network_of_the_worker_is_refused(program: Path, tmp_path: Path, capsys: Capture) -> None:
    """runsc cannot save its connections."""
    assert run(tmp_path, f"--checkpoint={program}", "--network", "host") == 2
    assert "runsc saves no sandbox with --network host" in capsys.readouterr().err


def test_mount_that_hides_the_program_is_refused(
    program: Path, tmp_path: Path, capsys: Capture
) -> None:
    mount = f"{tmp_path}:/usr/local/bin"
    assert run(tmp_path, f"--checkpoint={program}", "--mount", mount) == 2
    assert f"would hide {CHECKPOINT}" in capsys.readouterr().err
