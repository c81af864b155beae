"""Builds without a network give the same image; images are built for arm64."""

import fnmatch
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.engine.endpoint import Endpoint
from worker_images.files import ROOT
from worker_images.model import catalog, results
from worker_images.model.lock import Lock

BUILD = [str(ROOT / ".venv/bin/python"), "build.py"]

LEDGER_CHECK = "test_layer_matches_the_ledger_where_its_inputs_were_reviewed"
LOADER_CHECK = "test_loader_cache_is_that_of_the_base_and_the_library"


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command as a user gives it."""
    return commands.run([*BUILD, *arguments], cwd=ROOT)


@dataclass(frozen=True)
class Apart:
    """A machine without a network and with nothing kept: a namespace with no route, a cache of its
    own, and the engine that runs.
    """

    checkout: Path
    cache: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """The command as a user gives it there."""
        command = ["unshare", "--net", *BUILD, *arguments]
        return commands.run(command, cwd=self.checkout, env=self.environment)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What build.py fetch brings."""
    found: Path = tmp_path_factory.mktemp("media")
    fetched = run("fetch", "--into", str(found))
    assert fetched.returncode == 0, fetched.stderr
    return found


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory, endpoint: Endpoint) -> Apart:
    """A checkout that is not a clone, on such a machine; its first build fills the cache."""
    scratch = tmp_path_factory.mktemp("apart")
    target, cache = scratch / "checkout", scratch / "cache"
    shutil.copytree(
        ROOT,
        target,
        ignore=shutil.ignore_patterns(".git", ".venv", "out", "__pycache__", ".*_cache"),
    )
    (target / ".venv").symlink_to(ROOT / ".venv")
    return Apart(
        target,
        cache,
        {**os.environ, "XDG_CACHE_HOME": str(cache), "DOCKER_HOST": endpoint.host},
    )


def test_folder_holds_the_files_of_the_lock_that_builds_use(folder: Path) -> None:
    lock = Lock.read(ROOT / "versions.lock")
    unused = tuple(catalog.load(ROOT).packages.unused)
    packages = {package for roots in lock.packages.values() for package in roots.files}
    used = {
        package.sha256
        for package in packages
        if not any(fnmatch.fnmatchcase(package.name, pattern) for pattern in unused)
    }
    assert {path.stem for path in (folder / "debs").iterdir()} == used
    assert {path.stem for path in (folder / "wheels").iterdir()} == {
        wheel.sha256 for wheels in lock.wheels.values() for wheel in wheels.values()
    }
    assert len(list(folder.glob("modules/**/*.zip"))) > 40
    assert any((folder / "python").glob("pydantic-*.whl"))


def test_build_without_a_network_gives_the_same_image_id(folder: Path, apart: Apart) -> None:
    built = apart.run("--variant", "slim", "--no-test", "--offline", str(folder), "--json")
    assert built.returncode == 0, built.stderr
    assert (
        json.loads(built.stdout)["image_id"]
        == json.loads((ROOT / "out/slim/build.json").read_text())["image_id"]
    )


def test_build_fails_if_the_folder_lacks_a_file(folder: Path, apart: Apart, tmp_path: Path) -> None:
    """A control: nothing comes from another place."""
    lacking = tmp_path / "lacking"
    shutil.copytree(folder, lacking, copy_function=os.link)
    module = "modules/github.com/google/btree/@v/*.zip"
    (missing,) = lacking.glob(module)
    missing.unlink()
    for kept in apart.cache.glob(f"worker-images/{module}"):
        kept.unlink()
    shutil.rmtree(apart.checkout / "out", ignore_errors=True)
    refused = apart.run("--variant", "slim", "--offline", str(lacking))
    assert refused.returncode == 3
    assert "Go module github.com/google/btree" in refused.stderr
    assert f"./build.py fetch --into {lacking}" in refused.stderr


def test_lock_fails_without_a_network(apart: Apart) -> None:
    """A control: the machine of these tests really has no network."""
    refused = apart.run("lock")
    assert refused.returncode == 3
    assert "resolving Debian packages" in refused.stderr


def test_slim_for_arm64_is_built_and_tested(folder: Path, apart: Apart) -> None:
    built = apart.run("--variant", "slim", "--arch", "arm64", "--offline", str(folder))
    assert built.returncode == 0, built.stderr
    assert "worker:slim-arm64" in built.stdout
    assert "programs for arm64 do not run on this amd64 machine (" in built.stderr


@pytest.fixture
def lean(apart: Apart) -> str:
    """A variant like full, without the components that are compiled with cgo, which takes minutes.

    tests/torture builds full itself.
    """
    images, promises = apart.checkout / "images", apart.checkout / "tests/image/test_promises.py"
    shutil.copytree(images / "full", images / "lean")
    for file, old, new in (
        (images / "lean/variant.yaml", '"runc", "criu", "nvidia-container-toolkit"', '"criu"'),
        (promises, '"full": ', '"lean": BUILD_LEFTOVERS, "full": '),
    ):
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
    return "lean"


def test_libraries_for_arm64_have_the_reviewed_layers(
    lean: str, folder: Path, apart: Apart
) -> None:
    built = apart.run("--variant", lean, "--arch", "arm64", "--offline", str(folder))
    assert built.returncode == 0, built.stderr
    assert f"worker:{lean}-arm64" in built.stdout
    tested = results.read(apart.checkout / f"out/{lean}-arm64/image.xml")
    passed = {each.function for each in tested.with_outcome(results.PASSED)}
    assert {LEDGER_CHECK, LOADER_CHECK} <= passed


def test_amd64_image_fails_the_tests_of_arm64() -> None:
    """A control: slim for amd64 is tested as if it were for arm64."""
    checks = (
        "test_contract.py::test_platform_is_linux_and_the_built_architecture",
        "test_runsc.py::test_runsc_is_built_for_the_architecture",
    )
    command = [
        BUILD[0],
        "-m",
        "pytest",
        "-q",
        *(f"tests/image/{check}" for check in checks),
        "--variant",
        "slim",
    ]
    for architecture, failed in (("amd64", 0), ("arm64", len(checks))):
        tested = commands.run([*command, "--arch", architecture], cwd=ROOT)
        assert tested.stdout.count("FAILED tests/image/") == failed
