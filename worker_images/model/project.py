"""A project as values: pins, catalog and the table of drivers, checked against each other."""

from dataclasses import dataclass, replace
from pathlib import Path

from worker_images.model import additions, catalog, catalog_check, pins
from worker_images.model.catalog import Catalog
from worker_images.model.document import Document
from worker_images.model.drivers import gate, table
from worker_images.model.drivers.table import COMPONENT, DRIVERS, Table
from worker_images.model.pins import Pins
from worker_images.model.stacked import open_pins
from worker_images.model.tree import VERSIONS, Tree


@dataclass(frozen=True)
class Project:
    """The values that a command reads once, from a checkout or from a project on top of one."""

    root: Path
    versions: Path
    pins: Pins
    document: Document
    catalog: Catalog
    table: Table

    @property
    def tree(self) -> Tree:
        """Where its files lie."""
        return Tree(self.root)

    @property
    def checkout(self) -> Path:
        """The checkout, which is the project itself unless it stands on one."""
        return self.tree.checkout

    @property
    def stands_alone(self) -> bool:
        """Whether it is a checkout."""
        return self.tree.stands_alone

    @property
    def release(self) -> str:
        """The pinned release of gVisor; empty if none is pinned."""
        pin = self.pins.components.get(COMPONENT)
        return pin.version if pin else ""

    @property
    def file_time(self) -> int:
        """The latest time of a file in an image, in seconds since 1970."""
        return int(self.pins.file_time)


def read(root: Path, versions: Path | None = None) -> Project:
    """Read a project without checking its drivers; raises DocumentError."""
    tree, versions = Tree(root), versions or root / VERSIONS
    pinned, document = pins.of(open_pins(versions, tree))
    parts = catalog.load(root)
    additions.check(tree, pinned, document, parts)
    catalog_check.check(pinned, document, parts, root)
    allowed = {each.driver for each in pinned.fleet.allow_unserved}
    fleet = tuple(driver for driver in pinned.fleet.drivers if driver not in allowed)
    drivers = replace(table.read(tree.find(DRIVERS)), fleet=fleet)
    return Project(root, versions, pinned, document, parts, drivers)


def load(root: Path, versions: Path | None = None) -> Project:
    """Read a project for a build.

    Raises DocumentError, and PolicyError if a driver of the fleet is not served.
    """
    project = read(root, versions)
    gate.check(project.pins, project.document, project.table)
    return project
