"""Tests clean up when pytest is interrupted."""

import os
import sys
from pathlib import Path

from tests.support import commands
from worker_images.files import ROOT


def test_interrupted_tests_clean_up(tmp_path: Path) -> None:
    """pytest gets one SIGINT, and run() waits for it."""
    (tmp_path / "tests/workload").mkdir(parents=True)
    (tmp_path / "tests/workload/test_x.py").write_text(
        "import os, pathlib, pytest, signal\n@pytest.fixture\ndef resource():\n    yield\n   "
        " pathlib.Path('clean').touch()\ndef test_x(resource):\n    os.kill(os.getppid(),"
        " signal.SIGTERM)\n    signal.pause()\n"
    )
    program = f"""
import signal
from pathlib import Path
from worker_images.node import run_pytest
signal.signal(signal.SIGTERM, signal.default_int_handler)
run_pytest.run(Path({str(tmp_path)!r}), ["tests/workload"], [], Path({str(tmp_path)!r}) / "x.xml")
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = commands.run([sys.executable, "-c", program], cwd=ROOT, env=environment)
    assert "KeyboardInterrupt" in found.stderr
    assert (tmp_path / "clean").exists()
