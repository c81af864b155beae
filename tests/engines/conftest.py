"""Fixtures: engines in one root file system, and images built with them."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.engines import compiled, engines, miniature, suite
from tests.engines.engines import RunningEngine
from tests.engines.miniature import Miniature
from tests.engines.space import RunFolder, interrupt, new_run_folder
from tests.support.progress import past_capture
from worker_images.build.go_programs import Parts
from worker_images.engine.builder import find
from worker_images.engine.endpoint import Endpoint, PrivateEngine
from worker_images.errors import FetchError
from worker_images.files import CACHE, ROOT
from worker_images.harness.options import not_run

LAYER = "engines"
BUILDER = "engines-buildkit"


@pytest.fixture(scope="session", autouse=True)
def removed_on_sigterm() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C, so that engines are removed."""
    earlier = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, earlier)


@pytest.fixture(scope="session")
def progress(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """A function that prints a line of progress past pytest's output capture."""
    return past_capture(pytestconfig)


@pytest.fixture(scope="session")
def parts() -> Parts:
    """The committed pins and lock."""
    return Parts.of(ROOT)


@pytest.fixture(scope="session")
def run_folder(
    parts: Parts, progress: Callable[[str], None], pytestconfig: pytest.Config
) -> Iterator[RunFolder]:
    """The folder of this run, with the engines' root file system."""
    if os.geteuid():
        not_run(pytestconfig, LAYER, "running engines in namespaces needs root")
    folder = CACHE / "engines"
    with new_run_folder(folder) as found, pytest.MonkeyPatch.context() as settings:
        command = ["stat", "--file-system", "--format=%T", str(found.folder)]
        kind = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        if kind.startswith("overlay"):
            not_run(
                pytestconfig,
                LAYER,
                f"engines cannot store images on {kind} ({folder}); set XDG_CACHE_HOME to a volume",
            )
        try:
            newest = suite.unpack_first(suite.SUITES, found.root, parts, progress)
        except FetchError as error:
            not_run(pytestconfig, LAYER, str(error))
        progress(str(newest))
        # Do not change the builders of the machine's user.
        settings.setenv("BUILDX_CONFIG", str(found.folder / "buildx"))
        settings.delenv("BUILDX_BUILDER", raising=False)
        yield found


@pytest.fixture(scope="session")
def registry(run_folder: RunFolder) -> Iterator[str]:
    """A registry's address."""
    with engines.registry(run_folder) as address:
        yield address


@pytest.fixture(scope="session")
def certificates(run_folder: RunFolder) -> Path:
    """The folder that DOCKER_CERT_PATH names."""
    return engines.certificates(run_folder)


@pytest.fixture(scope="session")
def docker(run_folder: RunFolder, certificates: Path) -> Iterator[RunningEngine]:
    """Docker with the containerd image store, also behind TLS."""
    with engines.docker(run_folder, "docker", containerd=True, certificates=certificates) as engine:
        yield engine


@pytest.fixture(scope="session")
def classic(run_folder: RunFolder) -> Iterator[RunningEngine]:
    """Docker with its classic image store."""
    with engines.docker(run_folder, "classic", containerd=False) as engine:
        yield engine


@pytest.fixture(scope="session")
def podman(run_folder: RunFolder, registry: str) -> Iterator[RunningEngine]:
    """Podman."""
    with engines.podman(run_folder, registry) as engine:
        yield engine


@pytest.fixture(scope="session")
def reference(endpoint: Endpoint) -> RunningEngine:
    """The engine that `make slim` uses."""
    return RunningEngine("reference", {"DOCKER_HOST": endpoint.host})


@pytest.fixture(scope="session")
def builder(
    run_folder: RunFolder,
    endpoint: Endpoint,
    parts: Parts,
    progress: Callable[[str], None],
    pytestconfig: pytest.Config,
) -> Iterator[str]:
    """The name of a remote builder: the newest BuildKit."""
    try:
        program = compiled.buildkitd(parts, progress)
    except FetchError as error:
        not_run(pytestconfig, LAYER, str(error))
    shutil.copy(program, run_folder.root / "usr/bin/buildkitd")
    (run_folder.root / "usr/bin/buildkitd").chmod(0o755)
    with engines.buildkit(run_folder) as address:
        command = [*endpoint.buildx, "create", "--name", BUILDER, "--driver", "remote", address]
        subprocess.run(command, env=endpoint.environment, capture_output=True, check=True)
        yield BUILDER


# Each engine, and whether it needs a builder because it cannot write OCI archives itself.
PAIRS: Mapping[str, tuple[str, bool]] = {
    "docker": ("docker", False),
    "classic": ("classic", True),
    "podman": ("podman", True),
    "buildkit": ("reference", True),
}


@pytest.fixture(params=PAIRS)
def other_endpoint(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """Each engine, found by its settings as for a user, with its builder."""
    name, needs_builder = PAIRS[request.param]
    engine: RunningEngine = request.getfixturevalue(name)
    builder = request.getfixturevalue("builder") if needs_builder else None
    for key, value in engine.settings.items():
        monkeypatch.setenv(key, value)
    found = find(PrivateEngine(ROOT), builder)
    assert found
    return found.endpoint


@pytest.fixture(scope="session")
def context(run_folder: RunFolder, parts: Parts) -> Path:
    """The build context of the miniature image."""
    return miniature.context(run_folder.root, run_folder.folder / "miniature", parts.epoch)


@pytest.fixture(scope="session")
def reference_image(endpoint: Endpoint, context: Path, parts: Parts) -> Miniature:
    """The miniature image built by the reference engine."""
    archive = context.with_suffix(".reference.tar")
    return miniature.build(endpoint, context, archive, parts.epoch)


@pytest.fixture
def image(other_endpoint: Endpoint, context: Path, parts: Parts, tmp_path: Path) -> Miniature:
    """The miniature image built by the other engine."""
    return miniature.build(other_endpoint, context, tmp_path / "image.tar", parts.epoch)


@pytest.fixture
def loaded(other_endpoint: Endpoint, image: Miniature) -> Iterator[str]:
    """The ID of the loaded image in the other engine."""
    identity = other_endpoint.images.load(image.archive)
    yield identity
    command = [other_endpoint.docker, "rmi", "--force", identity]
    subprocess.run(command, env=other_endpoint.environment, capture_output=True, check=True)


@pytest.fixture(scope="session")
def checkout(run_folder: RunFolder) -> Path:
    """A fresh clone of the checkout."""
    target = run_folder.folder / "checkout"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(target)], check=True)
    (target / ".venv").symlink_to(ROOT / ".venv")
    return target
