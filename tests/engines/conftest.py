"""What the tests of foreign engines share: engines in one root, and the project's own."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.engines import compiled, foreign, miniature, suite
from tests.engines.foreign import Foreign
from tests.engines.miniature import Miniature
from tests.engines.space import Place, place, terminated
from tests.engines.suite import Parts
from worker_images.engine.builder import find
from worker_images.engine.endpoint import Endpoint, PrivateEngine
from worker_images.errors import FetchError
from worker_images.files import CACHE, ROOT
from worker_images.harness.options import not_run

LAYER = "engines"
BUILDER = "engines-buildkit"


@pytest.fixture(scope="session", autouse=True)
def removed_on_sigterm() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does."""
    earlier = signal.signal(signal.SIGTERM, terminated)
    yield
    signal.signal(signal.SIGTERM, earlier)


@pytest.fixture(scope="session")
def progress(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Lines about versions and what takes long, which pytest would keep from the reader."""
    reporter = pytestconfig.pluginmanager.getplugin("terminalreporter")
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    assert reporter
    assert capture

    def show(line: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(f"» {line}")

    return show


@pytest.fixture(scope="session")
def parts() -> Parts:
    """The committed pins and lock."""
    return Parts.of(ROOT)


@pytest.fixture(scope="session")
def where(
    parts: Parts, progress: Callable[[str], None], pytestconfig: pytest.Config
) -> Iterator[Place]:
    """The folder of this run, with the root file system of the engines."""
    if os.geteuid():
        not_run(pytestconfig, LAYER, "engines in namespaces of their own need root")
    folder = CACHE / "engines"
    with place(folder) as found, pytest.MonkeyPatch.context() as settings:
        command = ["stat", "--file-system", "--format=%T", str(found.folder)]
        kind = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        if kind.startswith("overlay"):
            not_run(
                pytestconfig,
                LAYER,
                f"engines keep no images on {kind}: set XDG_CACHE_HOME to a volume, not {folder}",
            )
        try:
            newest = suite.unpacked(suite.SUITES, found.root, parts, progress)
        except FetchError as error:
            not_run(pytestconfig, LAYER, str(error))
        progress(str(newest))
        # Builders of the machine's user stay as they are.
        settings.setenv("BUILDX_CONFIG", str(found.folder / "buildx"))
        settings.delenv("BUILDX_BUILDER", raising=False)
        yield found


@pytest.fixture(scope="session")
def registry(where: Place) -> Iterator[str]:
    """A registry's address."""
    with foreign.registry(where) as address:
        yield address


@pytest.fixture(scope="session")
def certificates(where: Place) -> Path:
    """The folder that DOCKER_CERT_PATH names."""
    return foreign.certificates(where)


@pytest.fixture(scope="session")
def docker(where: Place, certificates: Path) -> Iterator[Foreign]:
    """Docker with the containerd image store, also behind TLS."""
    with foreign.docker(where, "docker", containerd=True, certificates=certificates) as engine:
        yield engine


@pytest.fixture(scope="session")
def classic(where: Place) -> Iterator[Foreign]:
    """Docker with its classic image store."""
    with foreign.docker(where, "classic", containerd=False) as engine:
        yield engine


@pytest.fixture(scope="session")
def podman(where: Place, registry: str) -> Iterator[Foreign]:
    """Podman."""
    with foreign.podman(where, registry) as engine:
        yield engine


@pytest.fixture(scope="session")
def reference(endpoint: Endpoint) -> Foreign:
    """The engine that `make slim` used."""
    return Foreign("reference", {"DOCKER_HOST": endpoint.host})


@pytest.fixture(scope="session")
def builder(
    where: Place,
    endpoint: Endpoint,
    parts: Parts,
    progress: Callable[[str], None],
    pytestconfig: pytest.Config,
) -> Iterator[str]:
    """The name of a remote builder: the newest BuildKit."""
    try:
        program = compiled.buildkitd(where.folder / "compile", parts, progress)
    except FetchError as error:
        not_run(pytestconfig, LAYER, str(error))
    shutil.copy(program, where.root / "usr/bin/buildkitd")
    (where.root / "usr/bin/buildkitd").chmod(0o755)
    with foreign.buildkit(where) as address:
        command = [*endpoint.buildx, "create", "--name", BUILDER, "--driver", "remote", address]
        subprocess.run(command, env=endpoint.environment, capture_output=True, check=True)
        yield BUILDER


# Engine and whether it needs a builder: those without BuildKit or without OCI archives do.
PAIRS: Mapping[str, tuple[str, bool]] = {
    "docker": ("docker", False),
    "classic": ("classic", True),
    "podman": ("podman", True),
    "buildkit": ("reference", True),
}


@pytest.fixture(params=PAIRS)
def elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """A foreign engine as the project finds it by a user's settings, with its builder."""
    name, needs_builder = PAIRS[request.param]
    engine: Foreign = request.getfixturevalue(name)
    builder = request.getfixturevalue("builder") if needs_builder else None
    for key, value in engine.settings.items():
        monkeypatch.setenv(key, value)
    found = find(PrivateEngine(ROOT), builder)
    assert found
    return found.endpoint


@pytest.fixture(scope="session")
def context(where: Place, parts: Parts) -> Path:
    """What the miniature image is built from."""
    return miniature.context(where.root, where.folder / "miniature", parts.epoch)


@pytest.fixture(scope="session")
def at_home(endpoint: Endpoint, context: Path, parts: Parts) -> Miniature:
    """The miniature image as the reference builds it."""
    archive = context.with_suffix(".home.tar")
    return miniature.built(endpoint, context, archive, parts.epoch)


@pytest.fixture
def image(elsewhere: Endpoint, context: Path, parts: Parts, tmp_path: Path) -> Miniature:
    """The miniature image as a foreign engine builds it."""
    return miniature.built(elsewhere, context, tmp_path / "image.tar", parts.epoch)


@pytest.fixture
def loaded(elsewhere: Endpoint, image: Miniature) -> Iterator[str]:
    """The id that a foreign engine gives it."""
    identity = elsewhere.images.load(image.archive)
    yield identity
    command = [elsewhere.docker, "rmi", "--force", identity]
    subprocess.run(command, env=elsewhere.environment, capture_output=True, check=True)


@pytest.fixture(scope="session")
def checkout(where: Place) -> Path:
    """A clone that has built nothing."""
    target = where.folder / "checkout"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(target)], check=True)
    (target / ".venv").symlink_to(ROOT / ".venv")
    return target
