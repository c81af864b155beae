"""Small projects on this checkout: the one of docs/projects.md, and one that has pins alone."""

import re
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path

from worker_images.files import ROOT

PAGE = ROOT / "docs" / "projects.md"
BLOCK = re.compile(r"^ *```\w+ (\S+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# The files of its steps, by path.
FILES = {name: textwrap.dedent(text) for name, text in BLOCK.findall(PAGE.read_text())}


def write(folder: Path, others: Mapping[str, str] = {}) -> Path:
    """Write the project of the page, with other files over its own."""
    for name, text in {**FILES, **others}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def write_pins(folder: Path, pins: str) -> Path:
    """Write a project that has pins alone, and the lock of the checkout."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "versions.yaml").write_text(pins)
    shutil.copy(ROOT / "versions.lock", folder)
    return folder
