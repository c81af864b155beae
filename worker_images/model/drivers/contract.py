"""The driver contract of an image: its release, and the drivers that it serves and knows."""

import json
from pathlib import Path

from worker_images.model.drivers.table import DRIVERS, Release

# The name of the file in the component's folder and in images.
FILE = Path(DRIVERS).name


def text(row: Release) -> str:
    """The text of the file in images."""
    data = {"release": row.name, "supported": row.supported, "known": row.known}
    return json.dumps(data, indent=1) + "\n"
