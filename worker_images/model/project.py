"""A checkout as values: pins, catalog and the table of drivers, checked against each other."""

from dataclasses import dataclass
from pathlib import Path

from worker_images.model import catalog, pins
from worker_images.model.catalog import Catalog
from worker_images.model.document import Document
from worker_images.model.drivers import gate, table
from worker_images.model.drivers.table import COMPONENT, DRIVERS, Table
from worker_images.model.pins import Pins


@dataclass(frozen=True)
class Project:
    """The values that a command reads from a checkout, once."""

    root: Path
    versions: Path
    pins: Pins
    document: Document
    catalog: Catalog
    table: Table

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
    """Read a checkout without checking its drivers; raises DocumentError."""
    versions = versions or root / "versions.yaml"
    name = str(versions.relative_to(root)) if versions.is_relative_to(root) else str(versions)
    pinned, document = pins.load(versions, name)
    parts = catalog.load(root)
    catalog.check(pinned, document, parts, root)
    return Project(root, versions, pinned, document, parts, table.read(root / DRIVERS))


def load(root: Path, versions: Path | None = None) -> Project:
    """Read a checkout for a build.

    Raises DocumentError, and PolicyError if a driver of the fleet is not served.
    """
    project = read(root, versions)
    gate.check(project.pins, project.document, project.table)
    return project
