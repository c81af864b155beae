"""The contract that an image carries: its release, the drivers that this serves and those that it
only knows.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from worker_images.model.drivers.table import DRIVERS, Release, read

FILE = Path(DRIVERS).name


class Component(Protocol):
    """What is asked of a component of a plan."""

    @property
    def name(self) -> str: ...
    @property
    def release(self) -> str: ...


def rows(root: Path, components: Iterable[Component]) -> dict[str, Release]:
    """The row of each component that serves drivers, where it is written down, by the component's
    name.
    """
    holder = Path(DRIVERS).parent.name
    found = {
        each.name: read(root / DRIVERS).get(each.release)
        for each in components
        if each.name == holder
    }
    return {name: row for name, row in found.items() if row}


def texts(root: Path, components: Iterable[Component]) -> dict[str, str]:
    """What a build context holds of it: text by path."""
    return {f"components/{name}/{FILE}": text(row) for name, row in rows(root, components).items()}


def text(row: Release) -> str:
    """The file as images hold it."""
    return (
        json.dumps({"release": row.name, "supported": row.supported, "known": row.known}, indent=1)
        + "\n"
    )
