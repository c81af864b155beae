"""Where nodes keep the driver's files, and the capability of each library; both are data."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
# A library of the driver that no class names, such as one of a newer driver, is taken with this.
FIRST = "compute"
OTHER_DRIVER = re.compile(r"\.[0-9]{3}")


@dataclass(frozen=True)
class Place:
    """A place of the driver's files: a loader's cache, folders, or what NVIDIA's toolkit finds.

    Paths are relative to `root`, which is relative to the node's root. `source` is where they come
    from. {machine} is x86_64 or aarch64, and {version} the driver's.
    """

    name: str
    source: str
    root: str = ""
    cache: str = ""
    libraries: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    configuration: tuple[str, ...] = ()
    cdi: bool = False

    def filled(self, folders: Iterable[str], machine: str, version: str) -> list[str]:
        """Return folders of the place for a driver."""
        return [folder.format(machine=machine, version=version) for folder in folders]


def _places() -> tuple[Place, ...]:
    rows = json.loads((FOLDER / "places.json").read_text(encoding="utf-8"))
    lists = ("libraries", "programs", "configuration")
    return tuple(Place(**row | {name: tuple(row.get(name, ())) for name in lists}) for row in rows)


def _lists() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((FOLDER / "libraries.json").read_text(encoding="utf-8"))
    return found


PLACES, LISTS = _places(), _lists()
PROGRAMS: tuple[str, ...] = tuple(LISTS["programs"])
GRAPHICS_FILES: tuple[str, ...] = tuple(LISTS["graphics_files"])
CLASS_OF: Mapping[str, str] = {
    name: kind for kind, members in LISTS["classes"].items() for name in members
}


def libraries(capabilities: Iterable[str]) -> tuple[str, ...]:
    """The names of the libraries of some capabilities, without version."""
    return tuple(name for kind in capabilities for name in LISTS["classes"].get(kind, ()))


def class_of(file: str) -> str:
    """The capability of a driver's library; empty for one that sandboxes never need."""
    return CLASS_OF.get(file.partition(".so")[0], FIRST)


def is_library(file: str, version: str) -> bool:
    """Whether a file name is that of a library of the driver, not that of a link to one."""
    name, found, suffix = file.partition(".so")
    if not found or not name.startswith("lib"):
        return False
    if suffix == f".{version}":
        return True
    # libnvidia-nvvm70.so.4 and libnvidia-egl-gbm.so.1.1.2 have versions of their own.
    return name in LISTS["without_driver_version"] and not OTHER_DRIVER.match(suffix)
