"""Finds the reports of test layers that an option --results names."""

from collections.abc import Iterable
from pathlib import Path

from worker_images.errors import UsageError


def find(path: Path, layers: Iterable[str], more: str = "") -> dict[str, Path]:
    """Return the reports LAYER.xml that a folder contains, or the one that `path` names.

    Raises UsageError, which ends with `more`, if there is none.
    """
    if path.is_file():
        files = {layer: path for layer in layers if path.name == f"{layer}.xml"}
    else:
        files = {layer: path / f"{layer}.xml" for layer in layers}
    found = {layer: file for layer, file in files.items() if file.is_file()}
    if not found:
        names = ", ".join(f"{layer}.xml" for layer in layers)
        verb = "is" if path.is_file() else "contains"
        raise UsageError(f"--results {path}: {verb} none of {names}{more}")
    return found
