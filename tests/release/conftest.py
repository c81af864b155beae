"""Fixtures: Debian's registry, a proxy that adds faults, a key, and small releases."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import checkouts, docker_registry
from tests.support.registry_proxy import Proxy, proxying
from tests.support.sites import VERSION, Site, images
from tests.support.small_releases import Factory
from worker_images.build import requirements
from worker_images.engine.endpoint import Endpoint
from worker_images.files import ROOT
from worker_images.model import project
from worker_images.release import cosign, registry, tools
from worker_images.release.registry import Repository
from worker_images.release.tools import Tools

# Tests that use no `site`, and read the images in out/.
READERS = ("test_documents.py", "test_licences.py")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The docker-registry program of Debian's package."""
    return docker_registry.program(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="session")
def programs() -> Tools:
    """The tools oras and cosign."""
    loaded = project.read(ROOT)
    return tools.ensure(loaded, requirements.load(loaded), lambda _: None)


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory, programs: Tools) -> Iterator[Factory]:
    """A key pair, and bundles that were signed with it."""
    folder = tmp_path_factory.mktemp("factory")
    with pytest.MonkeyPatch.context() as settings:
        settings.setenv("COSIGN_PASSWORD", "a password of the tests")
        # Credentials of the machine's user must not count.
        settings.setenv("DOCKER_CONFIG", str(folder))
        cosign.make_key(programs, folder / "k")
        yield Factory(folder, programs)


@pytest.fixture(scope="session")
def shared_registry(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry that tests share; each has its own repository."""
    with docker_registry.running(program, tmp_path_factory.mktemp("shared")) as address:
        yield address


@pytest.fixture
def proxy(shared_registry: str) -> Iterator[Proxy]:
    """A proxy in front of the shared registry."""
    with proxying(shared_registry) as found:
        yield found


@pytest.fixture
def name() -> str:
    """The name of a repository that no other test uses."""
    return f"team/{secrets.token_hex(8)}"


@pytest.fixture
def repository(proxy: Proxy, factory: Factory, name: str) -> Repository:
    """An empty repository behind the proxy."""
    found = registry.connect(factory.tools, f"{proxy.address}/{name}")
    proxy.exchanges.clear()
    return found


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest) -> Iterator[None]:
    """One at a time of the tests that change the images in out/, or read them."""
    needs = "site" in request.fixturenames or request.path.name in READERS
    with images() if needs or request.path.parent.name == "sbom" else contextlib.nullcontext():
        yield


@pytest.fixture(scope="session")
def site(
    program: Path,
    factory: Factory,
    tmp_path_factory: pytest.TempPathFactory,
    endpoint: Endpoint,
) -> Iterator[Site]:
    """A registry with the release 1.0 of all variants."""
    assert endpoint
    folder = tmp_path_factory.mktemp("site")
    with (
        docker_registry.running(program, folder / "registry") as address,
        proxying(address) as proxy,
    ):
        checkout = checkouts.committed(folder / "checkout")
        found = Site(proxy, factory.folder / "k.key", checkout)
        with images():
            done = found.release("all", VERSION)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("released  ") == 2
        yield found
        # Tests may run in any order, so none may leave a floating tag at another release.
        versioned = found.verified(f"{found.target}:{VERSION}-slim")
        assert found.verified(f"{found.target}:slim")["digest"] == versioned["digest"]
