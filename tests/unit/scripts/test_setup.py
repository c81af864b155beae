"""scripts/setup with settings that redirect pip or Python."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checkouts import Checkout
from worker_images.files import ROOT


@pytest.fixture
def redirected(tmp_path: Path) -> Iterator[Path]:
    """The folder that settings redirect to; it must stay empty."""
    folder = tmp_path / "redirected"
    yield folder
    assert not folder.exists()


def test_setup_replaces_an_environment_of_an_old_python(
    checkout: Checkout,
) -> None:
    """The index of pip.conf is used; a second run does nothing."""
    python = checkout.root / ".venv/bin/python"
    python.unlink()
    check = 'case "$*" in *version_info*) exit 1 ;; esac'
    python.write_text(f'#!/bin/sh\n{check}\nexec {ROOT}/.venv/bin/python "$@"\n')
    python.chmod(0o755)
    checkout.configure()
    done = checkout.setup()
    assert (done.returncode, done.stderr) == (0, "setup: installing requirements.txt into .venv\n")
    assert (checkout.installed, checkout.stamped) == (True, True)
    assert checkout.setup().stderr == ""


def test_setup_ignores_pip_variables_that_redirect_packages(
    checkout: Checkout,
    redirected: Path,
) -> None:
    """Each variable alone would redirect them."""
    checkout.configure()
    folders = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
    flags = ("PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PIP_DRY_RUN")
    done = checkout.setup(
        PIP_PYTHON="/usr/bin/python3",
        **dict.fromkeys(folders, str(redirected)),
        **dict.fromkeys(flags, "1"),
    )
    assert (done.returncode, checkout.installed, checkout.stamped) == (0, True, True), done.stderr


def test_setup_ignores_pip_conf_that_redirects_packages(
    checkout: Checkout,
    redirected: Path,
) -> None:
    """The index that the same file names is used."""
    settings = "target = {}\nroot = {}\n[install]\nuser = true\nprefix = {}"
    checkout.configure(settings.replace("{}", str(redirected)))
    done = checkout.setup()
    assert (done.returncode, checkout.installed, checkout.stamped) == (0, True, True), done.stderr


def test_setup_ignores_python_variables_that_redirect_modules(
    checkout: Checkout,
    tmp_path: Path,
) -> None:
    """Neither the machine's Python nor that of the environment imports them."""
    checkout.configure()
    other = tmp_path / "other"
    other.mkdir()
    for name in ("venv", "pip", "small"):
        (other / f"{name}.py").write_text("raise SystemExit('another module')\n")
    done = checkout.setup(PYTHONHOME=str(other), PYTHONPATH=str(other))
    assert (done.returncode, checkout.installed, checkout.stamped) == (0, True, True), done.stderr
