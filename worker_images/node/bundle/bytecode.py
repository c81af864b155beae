"""Finds out if a root has compiled Python modules; without them each start compiles them again."""

import contextlib
import os
import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from worker_images.node import inside

# Where images have a Python, an environment of conda or uv, or a virtual environment.
PLACES = (
    *("usr", "usr/local", "opt/*", "opt/*/*", "opt/*/envs/*", "miniconda3", "root/miniconda3"),
    *("venv", ".venv", "*/venv", "*/.venv", "*/*/.venv", "home/*/venv", "home/*/.venv"),
    *("root/.local", "home/*/.local", "root/.pyenv/versions/*"),
)
NAMES = {"site-packages", "dist-packages"}
MOST_FOLDERS, MOST_PACKAGES = 100, 5000
# Fewer packages take little time. Images of Python alone have some, such as pip.
FEWEST = 10
NOTE = (
    "{} of {} Python packages in {} are not compiled: each start compiles them again, which takes"
    " longer than the rest of an import. Run in the image: python3 -m compileall -q {}"
)


def note(rootfs: Path) -> str:
    """Return a note about the folder with most packages that are not compiled.

    Empty if each folder has few of them, or more compiled ones, or cannot be read.
    """
    worst: tuple[int, int, Path] = (0, 0, rootfs)
    with contextlib.suppress(OSError):
        for folder in islice(_folders(rootfs), MOST_FOLDERS):
            packages = [*islice(folder.glob("*/__init__.py"), MOST_PACKAGES)]
            missing = sum(not _is_compiled(path.parent, folder) for path in packages)
            if missing >= max(FEWEST, len(packages) / 2):
                worst = max(worst, (missing, len(packages), folder))
    missing, count, folder = worst
    path = shlex.quote(f"/{folder.relative_to(rootfs)}")
    return NOTE.format(missing, count, path, path) if missing else ""


def _folders(rootfs: Path) -> Iterator[Path]:
    """Yield the folders of packages, but none behind a link: it may lead out of the root.

    A user's image chooses the names, so those with characters that control a terminal are left out.
    """
    for place in PLACES:
        for folder in rootfs.glob(f"{place}/lib*/python3*/*"):
            is_own = inside.resolve(rootfs, str(folder.relative_to(rootfs))) == folder
            if folder.name in NAMES and is_own and str(folder).isprintable():
                yield folder


def _is_compiled(package: Path, folder: Path) -> bool:
    """Report if the python of the folder, such as python3.12, has compiled a package."""
    version = folder.parent.name.removeprefix("python").replace(".", "")
    cache = package / "__pycache__"
    is_hidden = cache.exists() and not os.access(cache, os.R_OK)
    return is_hidden or any(cache.glob(f"*.cpython-{version}*.pyc"))
