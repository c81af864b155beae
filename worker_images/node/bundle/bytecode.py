"""Finds out if a root has compiled Python modules; without them each start compiles them again."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

# Where images have a Python, an environment of conda, or a virtual environment.
PLACES = (
    *("usr/lib", "usr/local/lib", "opt/*/lib", "opt/*/*/lib", "root/.local/lib"),
    *("venv/lib", ".venv/lib", "*/venv/lib", "*/.venv/lib", "home/*/.local/lib"),
)
# Fewer packages take little time. Images of Python alone have some, such as pip.
FEWEST = 10
NOTE = (
    "{} of {} Python packages in {} are not compiled: each start compiles them again, which takes"
    " longer than the rest of an import. Run python3 -m compileall in the image"
)


def note(rootfs: Path) -> str:
    """Return a note about the folder with most packages that are not compiled.

    Empty if each folder has few of them, or more compiled ones.
    """
    worst: tuple[int, int, Path] = (0, 0, rootfs)
    for folder in _folders(rootfs):
        packages = [*_packages(folder)]
        missing = sum(not _is_compiled(package) for package in packages)
        if missing >= max(FEWEST, len(packages) / 2):
            worst = max(worst, (missing, len(packages), folder))
    missing, count, folder = worst
    return NOTE.format(missing, count, f"/{folder.relative_to(rootfs)}") if missing else ""


def _folders(rootfs: Path) -> Iterator[Path]:
    for place in PLACES:
        for name in ("site-packages", "dist-packages"):
            yield from rootfs.glob(f"{place}/python3*/{name}")


def _packages(folder: Path) -> Iterator[Path]:
    """Yield the packages of a folder; none if this user may not read it."""
    with contextlib.suppress(OSError):
        yield from (path.parent for path in folder.glob("*/__init__.py"))


def _is_compiled(package: Path) -> bool:
    return any((package / "__pycache__").glob("*.pyc"))
