"""Fixtures: a checkout with one package to install."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkouts import Checkout, wheel
from worker_images.files import ROOT


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with only pip, linked from this checkout to save time."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    for path in (ROOT / ".venv" / packages.relative_to(folder)).glob("pip*"):
        (packages / path.name).symlink_to(path)
    return folder


@pytest.fixture
def checkout(environment: Path, tmp_path: Path) -> Checkout:
    """A checkout with a copy of that environment."""
    root, home = tmp_path / "checkout", tmp_path / "home"
    (root / "scripts").mkdir(parents=True)
    home.mkdir()
    shutil.copy(ROOT / "scripts/setup", root / "scripts/setup")
    (root / "requirements.txt").write_text(wheel(root / "index"))
    shutil.copytree(environment, root / ".venv", symlinks=True)
    return Checkout(root, home)
