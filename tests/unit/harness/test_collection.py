"""A complete test run seals its JUnit file; an interrupted one leaves none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from worker_images.files import ROOT
from worker_images.model import seal


@pytest.mark.parametrize(
    ("begin", "end", "kept"),
    [
        ("pass", "pass", True),
        ("pass", "assert False", True),
        ("pass", "raise KeyboardInterrupt", False),
        ("pass", "pytest.exit('gone', 4)", False),
        ("assert False", "pytest.exit('gone', 4)", False),
        ("pass", "raise OSError(28, 'No space left on device')", False),
    ],
)
def test_interrupted_run_leaves_no_junit_file(
    begin: str, end: str, kept: bool, tmp_path: Path
) -> None:
    """Also where a check failed before the interruption, or because of it, as on a full disk."""
    tests = tmp_path / "test_it.py"
    tests.write_text(f"import pytest\ndef test_first(): {begin}\ndef test_last(): {end}\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        str(ROOT / "pyproject.toml"),
        "--junit-xml",
        str(tmp_path / "junit.xml"),
        str(tests),
    ]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    report = tmp_path / "junit.xml"
    assert report.exists() == kept
    if kept:
        key = seal.create(tmp_path / "cache/worker-images" / seal.OWN_KEY)
        assert seal.fault(report, report.read_bytes(), [key]) == ""
