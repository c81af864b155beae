"""Real builds: with no network at all to the same digest, and for machines that cannot run here."""

import json
import subprocess
from pathlib import Path

import pytest

from imagetest.plugin import ROOT
from inputs.lock import Lock

BUILD = [str(ROOT / ".venv/bin/python"), "build.py"]


def run(*arguments: str, cwd: Path = ROOT, network: bool = True) -> "subprocess.CompletedProcess[str]":
    """The command as a user gives it; without a network it has a namespace with no route and no device that is up."""
    without = [] if network else ["unshare", "--net"]
    return subprocess.run([*without, *BUILD, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What build.py fetch brings."""
    found: Path = tmp_path_factory.mktemp("media")
    fetched = run("fetch", "--into", str(found))
    assert fetched.returncode == 0, fetched.stderr
    return found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that has built nothing."""
    target = tmp_path / "checkout"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(target)], check=True)
    (target / ".venv").symlink_to(ROOT / ".venv")
    return target


def test_the_folder_holds_what_the_lock_names(folder: Path) -> None:
    lock = Lock.read(ROOT / "versions.lock")
    packages = {package.sha256 for roots in lock.packages.values() for package in roots.files}
    assert {path.stem for path in (folder / "debs").iterdir()} == packages
    assert {path.stem for path in (folder / "wheels").iterdir()} == {wheel.sha256 for wheel in lock.wheels.values()}
    assert len(list(folder.glob("modules/**/*.zip"))) > 40
    assert any((folder / "python").glob("pydantic-*.whl"))


def test_a_build_without_a_network_has_the_same_digest(folder: Path, checkout: Path) -> None:
    built = run("--variant", "slim", "--offline", str(folder), "--json", cwd=checkout, network=False)
    assert built.returncode == 0, built.stderr
    assert json.loads(built.stdout)["digest"] == json.loads((ROOT / "out/slim/build.json").read_text())["digest"]


def test_resolving_needs_the_network_that_is_off(checkout: Path) -> None:
    """The control of the test above: the same namespace, and a command that must ask somebody."""
    asked = run("lock", cwd=checkout, network=False)
    assert asked.returncode == 3
    assert "resolving Debian packages" in asked.stderr


def test_slim_for_arm64_is_built_and_read(folder: Path, checkout: Path) -> None:
    built = run("--variant", "slim", "--arch", "arm64", "--offline", str(folder), cwd=checkout, network=False)
    assert built.returncode == 0, built.stderr
    assert "worker:slim-arm64" in built.stdout
    assert "not run: programs for arm64 do not run on this amd64 machine" in built.stderr


def test_an_image_of_one_machine_is_no_image_of_another() -> None:
    """The judge's control: slim for amd64, judged as if it were for arm64."""
    checks = ("test_contract.py::test_it_says_for_which_machines_it_is", "test_runsc.py::test_machine")
    command = [BUILD[0], "-m", "pytest", "-q", *(f"tests/image/{check}" for check in checks), "--variant", "slim"]
    for architecture, failed in (("amd64", 0), ("arm64", len(checks))):
        judged = subprocess.run([*command, "--arch", architecture], cwd=ROOT, capture_output=True, text=True, check=False)
        assert judged.stdout.count("FAILED tests/image/") == failed


def test_full_for_arm64_is_refused_with_its_reason() -> None:
    refused = run("--variant", "full", "--arch", "arm64")
    assert refused.returncode == 2
    assert (
        "--arch arm64: full holds runc, criu, nvidia-container-toolkit, cuda-runtime, built for amd64 alone; build slim" in refused.stderr
    )
