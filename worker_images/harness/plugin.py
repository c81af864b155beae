"""pytest fixtures of the image layer: the image, and one open shell in one container of it."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from worker_images.engine.daemon import is_local
from worker_images.engine.endpoint import Endpoint, PrivateEngine, locate
from worker_images.errors import EngineError, ImageBuildError
from worker_images.files import ROOT
from worker_images.harness.collection import HERE, LAYER, Case, case_of
from worker_images.harness.options import not_run
from worker_images.harness.shell import TransportError
from worker_images.model import kernel_settings
from worker_images.model.oci.image import ImageError
from worker_images.model.oci.names import without_names

ENTRYPOINT = ["/usr/bin/tini", "--"]
# Found by leaving out one after the other: each of these is needed, nothing else is.
CHECKPOINT_RIGHTS = ("SYS_ADMIN", "NET_ADMIN", "SYS_CHROOT", "SYS_TIME")
LISTED = pytest.StashKey[list[str]]()
UNPRIVILEGED = "1000:1000"


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
            raise EngineError("no container engine answers; run: ./build.py engine start")
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
            archive = without_names(named, scratch / "image.tar")
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
