"""pytest options of the image layer: which image is tested by which pins, and so which checks."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from worker_images.errors import ImageBuildError
from worker_images.files import ROOT
from worker_images.model import catalog, pins
from worker_images.model.component import DebianPackage, GoModule
from worker_images.model.lock import Lock, lock_of

LAYER = ROOT / "tests" / "image"
COLLECTED = pytest.StashKey[set[str]]()
# What the programs of an image must be for, to run on the machine that judges; builds are made
# there, too.
HERE = "amd64"


@dataclass(frozen=True)
class Case:
    """What is judged, and by which pins."""

    variant: str
    source: pins.Source
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

    @property
    def modules(self) -> dict[str, str]:
        """The Go module of each component that has one, held by the variant or not."""
        found = {name: each.packages for name, each in self.catalog.components.items()}
        return {name: each.module for name, each in found.items() if isinstance(each, GoModule)}

    @property
    def debian_packages(self) -> tuple[str, ...]:
        """The Debian package of each held component that is one."""
        held = (self.catalog.components[name].packages for name in self.components)
        return tuple(each.package for each in held if isinstance(each, DebianPackage))

    def reported_version(self, component: str) -> str:
        """The version that a component of this image reports of itself."""
        return self.pins.components[component].reported_version(self.source)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The judge's own options."""
    group = parser.getgroup("worker images")
    group.addoption(
        "--source",
        choices=("packages", "upstream"),
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


def pytest_itemcollected(item: pytest.Item) -> None:
    """Note each check when it is found: what is left out later, by whomever, is missed."""
    item.config.stash.setdefault(COLLECTED, set()).add(item.nodeid)


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
        "source": (case.source,),
        "mode": (case.mode,),
    }
    marks = [(item, name, item.get_closest_marker(name)) for item in items for name in answerable]
    left_out = [item for item, name, mark in marks if mark and mark.args[0] not in answerable[name]]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    config.stash.setdefault(COLLECTED, set()).difference_update(item.nodeid for item in left_out)


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
        config.getoption("source") or pinned.source,
        archive,
        pinned,
        known,
        locked,
        **options,
    )
