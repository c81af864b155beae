"""pytest options of the image layer: the image, its pins, and the checks that apply to it."""

from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from worker_images.errors import ImageBuildError
from worker_images.files import ROOT
from worker_images.harness.options import leave_out
from worker_images.model import catalog, pins, project, seal
from worker_images.model.component import DebianPackage, GoModule
from worker_images.model.lock import Lock, Module, lock_of
from worker_images.model.rootfs import Rules, dropping

IMAGE_TESTS = ROOT / "tests" / "image"
CASE = pytest.StashKey["Case"]()
# The architecture of the machines that build and test.
HOST_ARCHITECTURE = "amd64"


@dataclass(frozen=True)
class Case:
    """The image under test, and the pins that it must match."""

    root: Path
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
        """The components that the variant contains."""
        return self.catalog.variants[self.variant].components

    @property
    def rules(self) -> Rules:
        """What the image leaves out of its Debian packages."""
        return dropping(self.catalog.rules, self.catalog.dropped(self.components))

    @property
    def modules(self) -> dict[str, str]:
        """The Go module of each component that has one, in all variants."""
        found = {name: each.packages for name, each in self.catalog.components.items()}
        return {name: each.module for name, each in found.items() if isinstance(each, GoModule)}

    def is_debian(self, component: str) -> bool:
        """Whether a component is a Debian package."""
        return isinstance(self.catalog.components[component].packages, DebianPackage)

    @property
    def debian_packages(self) -> tuple[str, ...]:
        """The Debian packages among the variant's components."""
        held = (self.catalog.components[name].packages for name in self.components)
        return tuple(
            name for each in held if isinstance(each, DebianPackage) for name in each.names
        )

    def labels(self, drivers: Sequence[str]) -> dict[str, str]:
        """The labels of a worker image that begin with "worker."; its runsc serves the drivers."""
        parts = {self.catalog.components[name].label: name for name in self.components}
        modules = {name: self.module(name) for name in self.components}
        changes = [each.labels(name) for name, each in modules.items() if each]
        versions = {label: self.reported_version(name) for label, name in parts.items()}
        return dict(ChainMap(versions, *changes)) | {
            "worker.drivers": " ".join(drivers),
            "worker.source": self.source,
            "worker.variant": self.variant,
        }

    def reported_version(self, component: str) -> str:
        """Return the version that a component of this image must report."""
        module, pin = self.module(component), self.pins.components[component]
        return pin.reported_version(self.source) + (module.suffix if module else "")

    def module(self, component: str) -> Module | None:
        """The locked module from which a component of this image was compiled, if it was."""
        return self.lock.modules.get(component) if self.source == "packages" else None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the image layer."""
    group = parser.getgroup("worker images")
    group.addoption(
        "--source",
        choices=("packages", "upstream"),
        help="the source that the image was built from; default: that of versions.yaml",
    )
    group.addoption(
        "--backend",
        default="dockersh",
        choices=("dockersh", "docker"),
        help="how checks reach the container; docker is testinfra's backend, for comparison only",
    )
    group.addoption(
        "--mode",
        default="built",
        choices=("built", "derived"),
        help="built: a worker image; derived: an image made FROM one; default: %(default)s",
    )
    group.addoption(
        "--arch",
        default=HOST_ARCHITECTURE,
        dest="architecture",
        choices=("amd64", "arm64"),
        help="the architecture of the image; default: %(default)s",
    )
    group.addoption(
        "--versions",
        metavar="FILE",
        help="the pins that the image must match; default: versions.yaml",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the checks of other components, variants, sources and modes.

    test_absence.py tests that components which the variant lacks left no trace.
    """
    if not any(item.path.is_relative_to(IMAGE_TESTS) for item in items):
        return
    case = case_of(config)
    leave_out(config, items, [item for item in items if not _applies(item, case)])
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


def _applies(item: pytest.Item, case: Case) -> bool:
    """Whether each of an item's markers names what the case has."""
    present = {
        "component": case.components,
        "variant": (case.variant,),
        "source": (case.source,),
        "mode": (case.mode,),
    }
    known = {
        "component": case.catalog.components,
        "variant": case.catalog.variants,
        "source": ("packages", "upstream"),
        "mode": ("built", "derived"),
    }
    markers = [
        (name, marker.args[0]) for name in present if (marker := item.get_closest_marker(name))
    ]
    for name, value in markers:
        if value not in known[name]:
            raise pytest.UsageError(f"{item.nodeid}: marker {name}: unknown {name} {value!r}")
    return all(value in present[name] for name, value in markers)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Seal the JUnit file, or remove that of an interrupted run, whose results are incomplete.

    A check that met an error of the machine would be among them, as failed.
    """
    complete = exitstatus == pytest.ExitCode.OK or (
        exitstatus == pytest.ExitCode.TESTS_FAILED and session.testsfailed
    )
    if not (path := session.config.getoption("xmlpath")):
        return
    if not complete:
        Path(path).unlink(missing_ok=True)
    elif Path(path).exists():
        seal.write(Path(path), seal.own_key())


def case_of(config: pytest.Config) -> Case:
    """Return the image under test, read once; raises pytest.UsageError."""
    if CASE not in config.stash:
        config.stash[CASE] = _read(config)
    return config.stash[CASE]


def _read(config: pytest.Config) -> Case:
    variant = config.getoption("variant")
    if not variant:
        raise pytest.UsageError(
            "the image layer tests one image; add --variant slim or --variant full"
        )
    try:
        root: Path = config.getoption("project").absolute()
        versions = Path(config.getoption("versions") or root / "versions.yaml")
        read = project.read(root, versions)
        locked = Lock.read(lock_of(versions))
    except ImageBuildError as error:
        raise pytest.UsageError(str(error)) from error
    known = read.catalog.variants
    if variant not in known:
        raise pytest.UsageError(f"unknown variant {variant}; known: {', '.join(known)}")
    options = {name: config.getoption(name) for name in ("backend", "mode", "architecture")}
    return Case(
        root=root,
        variant=variant,
        source=config.getoption("source") or read.pins.source,
        archive=config.getoption("image") or str(root / "out" / variant / "image.tar"),
        pins=read.pins,
        catalog=read.catalog,
        lock=locked,
        **options,
    )
