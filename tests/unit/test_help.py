"""Programs outside of build.py have help too."""

import subprocess
import sys

import pytest

from worker_images.files import ROOT

PROGRAMS = ("bench",)


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a module of the checkout as a program."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_has_an_example(program: str) -> None:
    result = run(program, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: python -m {program} ")
    assert f"examples:\n  .venv/bin/python -m {program} " in result.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_unknown_argument_is_exit_2(program: str) -> None:
    result = run(program, "--none")
    assert (result.returncode, result.stdout) == (2, "")
    assert "unrecognized arguments: --none" in result.stderr


def test_unknown_bar_is_exit_2_with_the_known_ones() -> None:
    result = run("bench", "none")
    assert (result.returncode, result.stdout) == (2, "")
    assert "no such bar: none; bars: size, full-size, zstd-size," in result.stderr
