"""Fixtures: the project's committed files, and copies that tests may change."""

import shutil
from pathlib import Path

import pytest

from tests.support import fake_worker
from tests.support.fake_worker import Worker
from worker_images.build import kit, requirements
from worker_images.engine.builder import Builder, Engine
from worker_images.engine.daemon import Address
from worker_images.engine.endpoint import Endpoint
from worker_images.engine.sdk import Daemon
from worker_images.files import ROOT
from worker_images.model.catalog import Catalog
from worker_images.model.catalog import load as load_catalog
from worker_images.model.drivers.table import DRIVERS
from worker_images.model.lock import Lock
from worker_images.model.pins import Pins
from worker_images.model.pins import load as load_pins
from worker_images.model.project import Project
from worker_images.model.project import load as load_project


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def pins() -> Pins:
    """The committed pins."""
    return load_pins(ROOT / "versions.yaml")[0]


@pytest.fixture(scope="session")
def project() -> Project:
    """The committed project."""
    return load_project(ROOT)


@pytest.fixture(scope="session")
def locked(project: Project) -> Lock:
    """The committed lock."""
    return requirements.load(project)


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The committed catalogue."""
    return load_catalog(ROOT)


@pytest.fixture
def no_engine() -> Engine:
    """An engine that does not exist."""
    endpoint = Endpoint(Address("unix:///none"), (), "")
    return Engine(
        endpoint, Daemon("Docker", "0", containerd_store=True), Builder("default", "docker", "0")
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout with the files that build.py reads, without .venv and out."""
    target = tmp_path / "checkout"
    for name in ("worker_images", "images", "deploy"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (
        "versions.yaml",
        "versions.lock",
        "security-exceptions.yaml",
        "build.py",
        "requirements.txt",
        "pyproject.toml",
    ):
        shutil.copy(ROOT / name, target / name)
    return target


@pytest.fixture
def compiled_checkout(checkout: Path) -> Path:
    """The same copy with the compiled modules, for tests that start processes in it."""
    # Another process may be writing a file whose name continues after .pyc.
    shutil.copytree(
        ROOT / "worker_images",
        checkout / "worker_images",
        ignore=shutil.ignore_patterns("*.py", "*.pyc.*"),
        dirs_exist_ok=True,
    )
    return checkout


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    """A fake pod that passes every check."""
    tree = tmp_path / "worker"
    tree.mkdir()
    return fake_worker.make(tree)


@pytest.fixture
def pod_kit(tmp_path: Path) -> Path:
    """The files of the GPU kit, with its checks of pods and without an image."""
    target = tmp_path / "pod-kit"
    for path in (path for pattern in kit.PARTS for path in ROOT.glob(pattern) if path.is_file()):
        copy = target / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    (target / "pytest.ini").write_text(kit.PYTEST)
    return target


@pytest.fixture
def kit_root(tmp_path: Path) -> Path:
    """A folder with the files of the GPU kit, outside of a checkout."""
    target = tmp_path / "kit" / DRIVERS
    target.parent.mkdir(parents=True)
    shutil.copy(ROOT / DRIVERS, target)
    return tmp_path / "kit"
