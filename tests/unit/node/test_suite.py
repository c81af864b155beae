"""An interrupted suite lets its tests clean up."""

import os
import subprocess
import sys
from pathlib import Path

from worker_images.files import ROOT


def test_an_interrupted_suite_lets_its_tests_tidy_up(tmp_path: Path) -> None:
    """The child gets one SIGINT, and is waited for."""
    (tmp_path / "tests/workload").mkdir(parents=True)
    (tmp_path / "tests/workload/test_x.py").write_text(
        "import os, pathlib, pytest, signal\n@pytest.fixture\ndef made():\n    yield\n   "
        " pathlib.Path('tidy').touch()\ndef test_x(made):\n    os.kill(os.getppid(),"
        " signal.SIGTERM)\n    signal.pause()\n"
    )
    program = f"""
import signal
from pathlib import Path
from worker_images.node import suite
signal.signal(signal.SIGTERM, signal.default_int_handler)
suite.run(Path({str(tmp_path)!r}), ["tests/workload"], [], Path({str(tmp_path)!r}) / "x.xml")
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "KeyboardInterrupt" in found.stderr
    assert (tmp_path / "tidy").exists()
