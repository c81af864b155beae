"""Runs the command explain."""

from itertools import pairwise
from pathlib import Path

import pytest

from worker_images.files import ROOT
from worker_images.node.cli import main


def explained(capsys: pytest.CaptureFixture[str], path: Path) -> tuple[int, list[str], str]:
    """Return the exit code, the names of the causes and the output."""
    code = main(["explain", str(path)], ROOT)
    output = capsys.readouterr().out
    lines = output.splitlines()
    return code, [line for line, after in pairwise(lines) if "  where  " in after], output
