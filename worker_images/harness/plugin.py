"""pytest options and fixtures of the judge: which image, which variant, one open shell in one
container of it.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from worker_images.engine.daemon import is_local
from worker_images.engine.endpoint import Endpoint, PrivateEngine, locate
from worker_images.errors import EngineError, ImageBuildError
from worker_images.harness.options import not_run
from worker_images.harness.shell import TransportError
from worker_images.model import catalog, kernel_settings, pins
from worker_images.model.lock import Lock, lock_of
from worker_images.model.oci.archive import nameless
from worker_images.model.oci.image import ImageError

ROOT = Path(__file__).resolve().parents[2]
LAYER = ROOT / "tests" / "image"
ENTRYPOINT = ["/usr/bin/tini", "--"]
# Found by leaving out one after the other: each of these is needed, nothing else is.
CHECKPOINT_RIGHTS = ("SYS_ADMIN", "NET_ADMIN", "SYS_CHROOT", "SYS_TIME")
LISTED = pytest.StashKey[list[str]]()
COLLECTED = pytest.StashKey[set[str]]()
UNPRIVILEGED = "1000:1000"
# What the programs of an image must be for, to run on the machine that judges; builds are made
# there, too.
HERE = "amd64"


@dataclass(frozen=True)
class Case:
    """What is judged, and by which pins."""

    variant: str
    supply: str
    archive: str
    pins: pins.Pins
    catalog: catalog.Catalog
    lock: Lock
    backend: str
    mode: str
    architecture: str

    @property
    def components(self) -> tuple[str, ...]:
        """What the variant's folder says it holds."""
        return self.catalog.variants[self.variant].components


def pytest_addoption(parser: pytest.Parser) -> None:
    """The judge's own options."""
    group = parser.getgroup("worker images")
    group.addoption(
        "--supply",
        choices=("packages", "vendor"),
        help="where its parts came from; default: versions.yaml",
    )
    group.addoption(
        "--backend",
        default="dockersh",
        choices=("dockersh", "docker"),
        help="docker is testinfra's own, for comparison only",
    )
    group.addoption(
        "--mode",
        default="built",
        choices=("built", "derived"),
        help="derived: a user's image made FROM one of ours",
    )
    group.addoption(
        "--arch",
        default=HERE,
        dest="architecture",
        choices=("amd64", "arm64"),
        help="what the image is for; default: %(default)s",
    )
    group.addoption(
        "--versions", metavar="FILE", help="the pins that it must match; default: versions.yaml"
    )


def address(item: pytest.Item) -> str:
    """A check's name as the JUnit file writes it: class and name."""
    file, _, name = item.nodeid.partition("::")
    return f"{file.removesuffix('.py').replace('/', '.')}.{name}"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Note each check when it is found: what is left out later, by whomever, is missed."""
    item.config.stash.setdefault(COLLECTED, set()).add(address(item))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what other components and variants answer for: an absent component's traces are
    judged elsewhere.
    """
    if not any(item.path.is_relative_to(LAYER) for item in items):
        return
    case = case_of(config)
    answerable = {
        "component": case.components,
        "variant": (case.variant,),
        "supply": (case.supply,),
        "mode": (case.mode,),
    }
    marks = [(item, name, item.get_closest_marker(name)) for item in items for name in answerable]
    left_out = [item for item, name, mark in marks if mark and mark.args[0] not in answerable[name]]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    config.stash.setdefault(COLLECTED, set()).difference_update(map(address, left_out))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run that was cut short leaves no JUnit file: its results so far would read as the whole.

    A check that met a fault of the machine is among them, as failed.
    """
    whole = exitstatus == pytest.ExitCode.OK or (
        exitstatus == pytest.ExitCode.TESTS_FAILED and session.testsfailed
    )
    if (path := session.config.getoption("xmlpath")) and not whole:
        Path(path).unlink(missing_ok=True)


def case_of(config: pytest.Config) -> Case:
    """Read the options; raises pytest.UsageError in the words of the fault."""
    variant = config.getoption("variant")
    if not variant:
        raise pytest.UsageError("the image layer judges one image: add --variant slim")
    try:
        versions = Path(config.getoption("versions") or ROOT / "versions.yaml")
        pinned, _ = pins.load(versions)
        locked = Lock.read(lock_of(versions))
        known = catalog.load(ROOT)
    except ImageBuildError as error:
        raise pytest.UsageError(str(error)) from error
    if variant not in known.variants:
        raise pytest.UsageError(f"no variant {variant}; there are: {', '.join(known.variants)}")
    options = {name: config.getoption(name) for name in ("backend", "mode", "architecture")}
    archive = config.getoption("image") or str(ROOT / "out" / variant / "image.tar")
    return Case(
        variant,
        config.getoption("supply") or pinned.supply,
        archive,
        pinned,
        known,
        locked,
        **options,
    )


@pytest.fixture
def listed(pytestconfig: pytest.Config) -> list[str]:
    """What the run tells at its end, and does not fail for."""
    return pytestconfig.stash.setdefault(LISTED, [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Tell what was listed."""
    if found := config.stash.get(LISTED, []):
        terminalreporter.section(f"not ours: {len(found)} paths, listed and not judged")
        terminalreporter.write_line("\n".join(found))


def pytest_exception_interact(node: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """End the run where the machine fails, and where the image cannot be read: every later check
    would say the same.
    """
    if not node.path.is_relative_to(LAYER) or not call.excinfo:
        return
    error = call.excinfo.value
    if isinstance(error, TransportError | EngineError):
        pytest.exit(str(error), returncode=EngineError.exit_code)
    if isinstance(error.__cause__, ImageError):
        node.session.shouldfail = "the image cannot be read"


@pytest.fixture(scope="session")
def case(pytestconfig: pytest.Config) -> Case:
    """What is judged."""
    return case_of(pytestconfig)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """One line of cause: a fault of the machine ends the run, an image that cannot be read fails
    the check.
    """
    try:
        yield
    except ImageBuildError as error:
        pytest.exit(str(error), returncode=error.exit_code)
    except ImageError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from error


@pytest.fixture(scope="session")
def endpoint() -> Endpoint:
    """A running engine; without one the layer errs, it never skips."""
    with told():
        found = locate(PrivateEngine(ROOT))
        if found is None:
            raise EngineError("no container engine answers; run: make engine")
    os.environ |= found.address.environment
    os.environ["WORKER_DOCKER"] = found.docker
    return found


@dataclass(frozen=True)
class Subject:
    """The judged image: its archive on disk, and its id in the engine."""

    archive: Path
    identity: str


@pytest.fixture(scope="session")
def subject(
    case: Case, endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    """Have the image both as a file and in the engine, whichever was named; no tag moves by it."""
    images, named, scratch = endpoint.images, Path(case.archive), tmp_path_factory.mktemp("subject")
    known = images.identities()
    with told():
        if named.is_file():
            archive = nameless(named, scratch / "image.tar")
            identity = images.load(archive)
        else:
            archive = scratch / "image.tar"
            identity = images.save(case.archive, archive)
    yield Subject(archive, identity)
    if identity not in known:
        images.remove(identity)


@pytest.fixture(scope="session")
def user_namespaces(endpoint: Endpoint, pytestconfig: pytest.Config) -> bool:
    """True; ends a check that makes a sandbox without root, where this machine's kernel forbids
    that.
    """
    # What another machine's kernel forbids cannot be read from here.
    reason = (
        kernel_settings.forbids_unprivileged(kernel_settings.values())
        if is_local(endpoint.host)
        else ""
    )
    if reason:
        not_run(pytestconfig, "image", reason)
    return True


def _runnable(config: pytest.Config) -> None:
    """End a check that runs the image's programs, where they are another machine's."""
    if (architecture := config.getoption("architecture")) != HERE:
        not_run(config, "image", f"programs for {architecture} do not run on this {HERE} machine")


@pytest.fixture(scope="session")
def container(
    endpoint: Endpoint, subject: Subject, case: Case, pytestconfig: pytest.Config
) -> Iterator[str]:
    """One container of the image, without network or capabilities, for the whole run."""
    _runnable(pytestconfig)
    with endpoint.images.container(
        subject.identity, entrypoint=ENTRYPOINT if case.mode == "derived" else None
    ) as identity:
        yield identity


@pytest.fixture(scope="session")
def checkpointer(
    endpoint: Endpoint, subject: Subject, pytestconfig: pytest.Config
) -> Iterator[str]:
    """A second container, with the rights that CRIU needs to dump and restore a process."""
    _runnable(pytestconfig)
    with endpoint.images.container(
        subject.identity, CHECKPOINT_RIGHTS, entrypoint=ENTRYPOINT
    ) as identity:
        yield identity
