"""pytest fixtures of the image layer: the engine, the image, and containers of it."""

import contextlib
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from worker_images.engine.daemon import is_local
from worker_images.engine.endpoint import Endpoint, PrivateEngine, locate
from worker_images.engine.images import Rights
from worker_images.errors import EngineError, ImageBuildError
from worker_images.files import ROOT
from worker_images.harness.collection import HOST_ARCHITECTURE, IMAGE_TESTS, Case, case_of
from worker_images.harness.open_shell import TransportError
from worker_images.harness.options import not_run
from worker_images.model import kernel_settings
from worker_images.model.oci import archive, manifest
from worker_images.model.oci.files import open_archive
from worker_images.model.oci.image import Image, ImageError
from worker_images.model.oci.names import without_names

# A user without a name, who creates user namespaces and mounts a /proc.
SANDBOXES = Rights(user="1000:1000", confined=False)
# The minimal set: CRIU fails without any one of these.
CHECKPOINT_CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN", "SYS_CHROOT", "SYS_TIME")
CHECKPOINTS = Rights(capabilities=CHECKPOINT_CAPABILITIES, confined=False)


def pytest_exception_interact(node: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """End the run after an error that every later check would meet.

    An engine error is not the image's; an unreadable image, or one whose programs end or block the
    shell, fails.
    """
    if not node.path.is_relative_to(IMAGE_TESTS) or not call.excinfo:
        return
    error = call.excinfo.value
    if isinstance(error, TransportError | EngineError):
        pytest.exit(str(error), returncode=EngineError.exit_code)
    if isinstance(error.__cause__, TransportError):
        node.session.shouldfail = "a program of the image ended or blocked the shell"
    if isinstance(error, UnreadableError):
        node.session.shouldfail = "the image cannot be read"


@pytest.fixture(scope="session")
def case(pytestconfig: pytest.Config) -> Case:
    """The image under test, and the pins that it must match."""
    return case_of(pytestconfig)


class UnreadableError(pytest.fail.Exception):  # type: ignore[misc, name-defined]
    """A failure that ends the run: the image cannot be read."""


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Report errors in one line: those of the machine end the run, those of the image fail."""
    try:
        yield
    except ImageBuildError as error:
        pytest.exit(str(error), returncode=error.exit_code)
    except ImageError as error:
        raise UnreadableError(str(error), pytrace=False) from None


@pytest.fixture(scope="session")
def endpoint() -> Endpoint:
    """A running engine; without one the run ends with an error."""
    with one_line_errors():
        found = locate(PrivateEngine(ROOT))
        if found is None:
            raise EngineError("no container engine is running; run: ./build.py engine start")
    os.environ |= found.address.environment
    os.environ["WORKER_DOCKER"] = found.docker
    return found


@pytest.fixture(scope="session")
def image_file(
    case: Case, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The image under test as an archive; one that only an engine has is saved."""
    named = Path(case.archive)
    if named.is_file():
        return named
    saved = tmp_path_factory.mktemp("saved") / "image.tar"
    endpoint: Endpoint = request.getfixturevalue("endpoint")
    with one_line_errors():
        endpoint.images.save(case.archive, saved)
    return saved


@pytest.fixture(scope="session")
def image(
    image_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
    record_testsuite_property: Callable[[str, object], None],
    case: Case,
) -> Image:
    """The layers and the configuration, read from the archive before an engine reads it.

    The JUnit file records the image ID and the manifest's digest.
    """
    # Another builder wrote the first layer of a derived image, and of one from upstream.
    scratch, strict = tmp_path_factory.mktemp("layers"), case.mode == "built"
    strict = strict and case.source == "packages"
    with one_line_errors():
        try:
            found = archive.load(image_file, scratch, case.architecture, strict=strict)
        except ImageError as error:
            hint = "; an image made FROM a worker image needs --mode derived" if strict else ""
            raise ImageError(f"{error}{hint}") from error
    record_testsuite_property("image_id", found.image_id)
    record_testsuite_property("manifest_digest", found.digest)
    return found


@pytest.fixture(scope="session")
def engine_id(
    image: Image,
    image_file: Path,
    endpoint: Endpoint,
    case: Case,
    tmp_path_factory: pytest.TempPathFactory,
    record_testsuite_property: Callable[[str, object], None],
) -> Iterator[str]:
    """The ID of the image in the engine, which loads what was read; no tag changes."""
    images = endpoint.images
    known = images.identities()
    with one_line_errors():
        copy = without_names(
            image_file, tmp_path_factory.mktemp("unnamed") / "image.tar", case.architecture
        )
        with open_archive(copy) as files:
            digests = manifest.read(files, case.architecture).digests
        found = images.load(copy)
        copy.unlink()
        # An engine names an image by the digest of its manifest or of its configuration.
        if found not in digests or image.image_id not in digests:
            raise ImageError(f"{image_file}: contains {image.digest}; the engine loaded {found}")
    record_testsuite_property("engine_id", found)
    yield found
    if found not in known:
        images.remove(found)


@pytest.fixture(scope="session")
def user_namespaces(endpoint: Endpoint, pytestconfig: pytest.Config) -> bool:
    """True where the kernel allows sandboxes without root; elsewhere the check is not run."""
    # The settings of a remote engine's kernel cannot be read from here.
    reason = (
        kernel_settings.forbids_unprivileged(kernel_settings.values())
        if is_local(endpoint.host)
        else ""
    )
    if reason:
        not_run(pytestconfig, "image", reason)
    return True


def require_host_architecture(config: pytest.Config) -> None:
    """Report a check as not run if the image is for another architecture."""
    here = "arm64" if platform.machine() == "aarch64" else HOST_ARCHITECTURE
    if (architecture := config.getoption("architecture")) != here:
        not_run(
            config,
            "image",
            f"programs for {architecture} do not run on this {here} machine",
        )


@pytest.fixture(scope="session")
def container(endpoint: Endpoint, engine_id: str, pytestconfig: pytest.Config) -> Iterator[str]:
    """One confined container of the image for the whole run."""
    require_host_architecture(pytestconfig)
    with endpoint.images.container(engine_id) as container_id:
        yield container_id
