"""An old Python is refused in one line."""

import ast
import shutil
from pathlib import Path

from tests.support import commands
from tests.support.checkouts import Checkout, machine
from worker_images.files import ROOT


def test_setup_refuses_an_old_python_in_one_line(checkout: Checkout, tmp_path: Path) -> None:
    old = 'case "$*" in *version_info*) exit 1 ;; *python_version*) echo 3.10.12 ;; esac'
    done = checkout.setup(PATH=machine(tmp_path / "programs", python3=old))
    fix = "put a newer python3 first on PATH"
    message = f"setup: Python 3.11 or later is required; python3 is 3.10.12; {fix}\n"
    assert (done.returncode, done.stderr) == (2, message)


def test_build_refuses_an_old_python_in_one_line(tmp_path: Path) -> None:
    """The check runs before any import that an old Python lacks."""
    program = "import runpy, sys; sys.version_info = (3, 10, 13, 'final', 0); "
    program += "runpy.run_path(sys.argv[1], run_name='__main__')"
    done = commands.run(
        ["/usr/bin/python3", "-c", program, str(shutil.copy(ROOT / "build.py", tmp_path))]
    )
    fix = "put a newer python3 first on PATH and run: make setup"
    message = f"build.py needs Python 3.11 or later; found 3.10.13; {fix}\n"
    assert (done.returncode, done.stderr) == (2, message)


def test_build_py_parses_in_every_python_3() -> None:
    """An old Python would report only a syntax error."""
    assert ast.parse((ROOT / "build.py").read_text(), feature_version=(3, 6)).body
