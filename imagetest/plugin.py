"""pytest options and fixtures of the judge: which image, which variant, one open shell in one container of it."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagebuild import catalog, pins
from imagebuild.engine import Endpoint, PrivateEngine, find
from imagebuild.errors import EngineError, ImageBuildError
from imagebuild.images import Images
from imagetest.archive import nameless
from imagetest.image import ImageError

ROOT = Path(__file__).resolve().parent.parent
LAYER = ROOT / "tests" / "image"
UNPRIVILEGED = "1000:1000"


@dataclass(frozen=True)
class Case:
    """What is judged, and by which pins."""

    variant: str
    supply: str
    archive: str
    pins: pins.Pins
    catalog: catalog.Catalog
    backend: str

    @property
    def components(self) -> tuple[str, ...]:
        """What the variant's folder says it holds."""
        return self.catalog.variants[self.variant].components


def pytest_addoption(parser: pytest.Parser) -> None:
    """The judge's own options."""
    group = parser.getgroup("worker images")
    group.addoption("--variant", help="the variant that the image claims to be")
    group.addoption("--supply", choices=("packages", "vendor"), help="where its parts came from; default: versions.yaml")
    group.addoption("--image", metavar="REF|FILE", help="an image in the engine, or an image archive; default: out/VARIANT/image.tar")
    group.addoption("--backend", default="dockersh", choices=("dockersh", "docker"), help="docker is testinfra's own, for comparison only")
    group.addoption("--versions", metavar="FILE", help="the pins that it must match; default: versions.yaml")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what other components and variants answer for: an absent component's traces are judged elsewhere."""
    if not any(item.path.is_relative_to(LAYER) for item in items):
        return
    case = case_of(config)
    answerable = {"component": case.components, "variant": (case.variant,)}
    marks = [(item, name, item.get_closest_marker(name)) for item in items for name in answerable]
    left_out = [item for item, name, mark in marks if mark and mark.args[0] not in answerable[name]]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def case_of(config: pytest.Config) -> Case:
    """Read the options; raises pytest.UsageError in the words of the fault."""
    variant = config.getoption("variant")
    if not variant:
        raise pytest.UsageError("the image layer judges one image: add --variant slim")
    try:
        pinned, _ = pins.load(Path(config.getoption("versions") or ROOT / "versions.yaml"))
        known = catalog.load(ROOT)
    except ImageBuildError as error:
        raise pytest.UsageError(str(error)) from error
    if variant not in known.variants:
        raise pytest.UsageError(f"no variant {variant}; there are: {', '.join(known.variants)}")
    archive = config.getoption("image") or str(ROOT / "out" / variant / "image.tar")
    return Case(variant, config.getoption("supply") or pinned.supply, archive, pinned, known, config.getoption("backend"))


@pytest.fixture(scope="session")
def case(pytestconfig: pytest.Config) -> Case:
    """What is judged."""
    return case_of(pytestconfig)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """End the run with the one line of cause instead of an error a test."""
    try:
        yield
    except ImageBuildError as error:
        pytest.exit(str(error), returncode=error.exit_code)
    except ImageError as error:
        pytest.exit(str(error), returncode=1)


@pytest.fixture(scope="session")
def endpoint() -> Endpoint:
    """A running engine; without one the layer errs, it never skips."""
    with told():
        found = find(PrivateEngine(ROOT))
        if found is None:
            raise EngineError("no container engine answers; run: make engine")
    os.environ["DOCKER_HOST"] = found.host
    os.environ["WORKER_DOCKER"] = found.docker
    return found


@dataclass(frozen=True)
class Subject:
    """The judged image: its archive on disk, and its id in the engine."""

    archive: Path
    identity: str


@pytest.fixture(scope="session")
def subject(case: Case, endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """Have the image both as a file and in the engine, whichever was named; no tag moves by it."""
    images, named, scratch = Images(endpoint.host), Path(case.archive), tmp_path_factory.mktemp("subject")
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
def container(endpoint: Endpoint, subject: Subject) -> Iterator[str]:
    """One container of the image, without network or capabilities, for the whole run."""
    with Images(endpoint.host).container(subject.identity) as identity:
        yield identity
