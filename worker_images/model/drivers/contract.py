"""The driver contract of an image: its release, and the drivers that it serves and knows."""

import json
from pathlib import Path

from worker_images.model.drivers.table import DRIVERS, Release

# The file's name in its component's folder and in images.
FILE = Path(DRIVERS).name


def text(row: Release) -> str:
    """The file as images hold it."""
    data = {"release": row.name, "supported": row.supported, "known": row.known}
    return json.dumps(data, indent=1) + "\n"
