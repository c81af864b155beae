"""versions.yaml and images/ as they are read: pins and catalogue, held against each other and
against the fleet.
"""

from pathlib import Path

from worker_images.model import catalog, pins
from worker_images.model.catalog import Catalog
from worker_images.model.document import Document
from worker_images.model.drivers import gate
from worker_images.model.pins import Pins


def read(root: Path, versions: Path) -> tuple[Pins, Document, Catalog]:
    """Pins, the document that they came from, and the catalogue; raises DocumentError."""
    name = str(versions.relative_to(root)) if versions.is_relative_to(root) else str(versions)
    pinned, document = pins.load(versions, name)
    known = catalog.load(root)
    catalog.check(pinned, document, known, root)
    return pinned, document, known


def load(root: Path, versions: Path) -> tuple[Pins, Catalog]:
    """Pins and catalogue of what may be built.

    Raises DocumentError, and PolicyError where a driver of the fleet is not served.
    """
    pinned, document, known = read(root, versions)
    gate.check(pinned, document, root)
    return pinned, known
