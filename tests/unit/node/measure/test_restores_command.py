"""The command restores checks the user's python, and passes its options on."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from worker_images.files import ROOT
from worker_images.node.cli import main
from worker_images.node.measure import restores, restores_command
from worker_images.node.measure.model_runs import Setup
from worker_images.node.place import run_command


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
