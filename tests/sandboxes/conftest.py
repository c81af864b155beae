"""Fixtures: launchers in a worker, rootless and privileged, in an engine or in a pod."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

from tests.sandboxes import page
from tests.sandboxes.launcher import HOOK_PATH, PRIVILEGED, UNPRIVILEGED, Launcher, users_root
from tests.sandboxes.networks import Network, prepared
from tests.sandboxes.places import (
    Cluster,
    Engine,
    EnginePlace,
    Neighbour,
    NoLauncherError,
    NotHereError,
    Place,
    PodPlace,
    unfit,
)
from worker_images.build import provision, requirements
from worker_images.build.record import Record
from worker_images.engine.endpoint import Endpoint
from worker_images.fetch.store import Store
from worker_images.files import CACHE, ROOT
from worker_images.harness.options import not_run
from worker_images.model import project
from worker_images.model.results import NOT_RUN_PREFIX
from worker_images.node.place import PlaceError
from worker_images.node.pod import kubectl
from worker_images.node.pod.kubectl import Pod

LAYER = "sandboxes"
CLUSTER = pytest.StashKey[Cluster]()
# The launchers that run a test, by the name of its fixture.
KINDS = {
    "launcher": (UNPRIVILEGED, PRIVILEGED, HOOK_PATH),
    "runsc": (UNPRIVILEGED, PRIVILEGED),
    "root": (PRIVILEGED, HOOK_PATH),
    "unprivileged": (UNPRIVILEGED,),
    "privileged": (PRIVILEGED,),
    "hook_path": (HOOK_PATH,),
}
POD = "pod"
VARIANTS = ("slim", "full")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with the launchers of its fixture.

    The parts of slim are the same in full, as the layer `variants` shows, so full runs only the
    hook path; `--variant full` runs all of them with it.
    """
    variant = metafunc.config.getoption("variant")
    if metafunc.config.getoption("place") == POD:
        variant = variant or POD
    for fixture in metafunc.fixturenames:
        cases = [
            (variant or ("full" if kind == HOOK_PATH else "slim"), kind)
            for kind in KINDS.get(fixture, ())
            if kind != HOOK_PATH or variant != "slim"
        ]
        if cases:
            ids = ["-".join(case) for case in cases]
            metafunc.parametrize(fixture, cases, indirect=True, ids=ids, scope="session")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Find the pod before the first check; without it the run ends with an error."""
    config, here = session.config, Path(__file__).parent
    own = any(each.path.parent == here for each in session.items)
    if config.option.collectonly or not own or config.getoption("place") != POD:
        return
    if not config.getoption("context"):
        raise pytest.UsageError("name a worker's pod: --context CTX --namespace NS --pod POD")
    try:
        config.stash[CLUSTER] = Cluster(*kubectl.find(Pod.of(config.getoption)))
    except PlaceError as error:
        raise pytest.UsageError(str(error)) from error


def tools(owner: str) -> Path:
    """A root filesystem with programs for tests, from Debian packages of the lock."""
    loaded = project.read(ROOT)
    locked = requirements.load(loaded)
    return provision.ensure_tools(owner, CACHE / "tools", loaded, locked, Store(), print)


@pytest.fixture(scope="session")
def busybox() -> Path:
    """The program of users' containers."""
    return tools("containers") / "usr/bin/busybox"


@pytest.fixture(scope="session")
def place(
    pytestconfig: pytest.Config, busybox: Path, request: pytest.FixtureRequest
) -> Iterator[Place]:
    """The engine or the pod, with a neighbour of the workers."""
    with ExitStack() as stack:
        if pytestconfig.getoption("place") == POD:
            cluster = pytestconfig.stash[CLUSTER]
            neighbour = stack.enter_context(cluster.neighbour(busybox))
            yield PodPlace(cluster, neighbour, unfit(cluster.worker))
            return
        endpoint: Endpoint = request.getfixturevalue("endpoint")
        engine = Engine(endpoint.docker, busybox, tools("cluster"))
        images = {variant: _image(variant) for variant in VARIANTS}
        neighbour = stack.enter_context(engine.neighbour(images["slim"]))
        yield EnginePlace(engine, images, neighbour, stack)


def _image(variant: str) -> str:
    """The engine's ID of the image that was built here."""
    built = Record.read(ROOT / "out" / variant / "build.json")
    assert built, f"out/{variant} has no image; run: ./build.py --variant {variant}"
    return built.engine_id


@pytest.fixture(scope="session")
def launchers(place: Place, busybox: Path) -> Iterator[Callable[[str, str], Launcher]]:
    """A launcher of a variant and a kind, in a worker that was prepared once."""
    made: list[Launcher] = []

    @cache
    def launcher(variant: str, kind: str) -> Launcher:
        worker = place.worker(variant, kind)
        if kind != UNPRIVILEGED:
            worker(page.commands("Limits")[0])
        made.append(Launcher(worker, users_root(worker, busybox), kind))
        return made[-1]

    yield launcher
    # A pod goes on after the tests.
    for each in made:
        each.worker('rm -rf "$1"', each.folder)


def _launcher(
    request: pytest.FixtureRequest, launchers: Callable[[str, str], Launcher]
) -> Launcher:
    try:
        return launchers(*request.param)
    except NoLauncherError as error:
        not_run(request.config, LAYER, str(error))
    except NotHereError as error:
        elsewhere(str(error))


def elsewhere(reason: str) -> NoReturn:
    """Report a check that another pod can run as not run, also where the layer is required."""
    pytest.skip(f"{NOT_RUN_PREFIX}{reason}")


@pytest.fixture(scope="session")
def launcher(request: pytest.FixtureRequest, launchers: Callable[[str, str], Launcher]) -> Launcher:
    """Every launcher: runsc, rootless and privileged, and the hook path with runc."""
    return _launcher(request, launchers)


@pytest.fixture(scope="session")
def runsc(request: pytest.FixtureRequest, launchers: Callable[[str, str], Launcher]) -> Launcher:
    """Launchers with runsc, rootless and privileged."""
    return _launcher(request, launchers)


@pytest.fixture(scope="session")
def root(request: pytest.FixtureRequest, launchers: Callable[[str, str], Launcher]) -> Launcher:
    """Launchers that may create networks and control groups, with runsc and runc."""
    return _launcher(request, launchers)


@pytest.fixture(scope="session")
def unprivileged(
    request: pytest.FixtureRequest, launchers: Callable[[str, str], Launcher]
) -> Launcher:
    """runsc --rootless as user 1000, without a capability."""
    return _launcher(request, launchers)


@pytest.fixture(scope="session")
def privileged(
    request: pytest.FixtureRequest, launchers: Callable[[str, str], Launcher]
) -> Launcher:
    """runsc as root, with SYS_ADMIN and NET_ADMIN."""
    return _launcher(request, launchers)


@pytest.fixture(scope="session")
def hook_path(
    request: pytest.FixtureRequest, launchers: Callable[[str, str], Launcher]
) -> Launcher:
    """The hook path with runc."""
    return _launcher(request, launchers)


@pytest.fixture(scope="session")
def neighbour(place: Place) -> Neighbour:
    """A server outside of the worker."""
    return place.neighbour


@pytest.fixture
def network(root: Launcher) -> Iterator[Network]:
    """The network of sandboxes, which is removed with its rules."""
    with prepared(root) as found:
        yield found


@pytest.fixture
def runsc_network(privileged: Launcher) -> Iterator[Network]:
    """The same for runsc alone."""
    with prepared(privileged) as found:
        yield found


@pytest.fixture
def runc_network(hook_path: Launcher) -> Iterator[Network]:
    """The same for runc alone."""
    with prepared(hook_path) as found:
        yield found
