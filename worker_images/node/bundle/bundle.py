"""Writes an OCI bundle: config.json, and a folder with links to the driver's libraries."""

import contextlib
import json
import stat
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from worker_images.errors import UsageError
from worker_images.files import write_atomic
from worker_images.node.bundle import mounts
from worker_images.node.driver.shared_object import soname
from worker_images.node.node import Node
from worker_images.node.spec import Container, specification, with_capabilities
from worker_images.untrusted import shown


def write(node: Node, container: Container, bundle: Path, host: str = "") -> dict[str, Any]:
    """Write the bundle's folder and files, and return the specification.

    Raises SpecError, OSError, and UsageError for a link or another file in the place of its own,
    and for a mount that hides the driver.
    """
    config = specification(node, container, bundle.resolve(), host)
    mounts.check_destinations(container, config)
    text = json.dumps(config, indent=1, ensure_ascii=False) + "\n"
    _check_encoding(text)
    _check_places(bundle)
    bundle.mkdir(parents=True, exist_ok=True)
    _create_mount_points(with_capabilities(node, container.capabilities), bundle / "driver")
    # A new file takes the place of the old one, so that no link is followed.
    write_atomic(bundle / "config.json", text)
    return config


def _check_encoding(text: str) -> None:
    """Refuse arguments that are not UTF-8; runsc would replace their bytes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = error.object[: error.start + 1].rpartition("\n")[2]
        raise UsageError(f"not UTF-8: {shown(line)}") from error


def _check_places(bundle: Path) -> None:
    """Refuse links, through which other files would be written; raises UsageError."""
    driver = bundle / "driver"
    for folder in (bundle, driver, driver / "lib64", driver / "bin"):
        _check(folder, stat.S_ISDIR, "folder")
    _check(bundle / "config.json", stat.S_ISREG, "file")


def _check(path: Path, is_kind: Callable[[int], bool], kind: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not is_kind(path.lstat().st_mode):
            raise UsageError(f"{path} exists and is not a {kind}; remove it, or use another folder")


def _create_mount_points(node: Node, folder: Path) -> None:
    """Create an empty file for each driver file, and the links by which programs load a library."""
    links = {name: path.name for path in node.libraries for name in _link_names(path)}
    files = {path.name for path in node.libraries}
    for name in ("lib64", "bin"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _remove_others(folder / "lib64", files | links.keys())
    _remove_others(folder / "bin", {path.name for path in node.programs})
    for path in node.programs:
        _create(folder / "bin" / path.name, 0o755)
    for name in sorted(files):
        _create(folder / "lib64" / name, 0o644)
    for name, target in links.items():
        link = folder / "lib64" / name
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def _remove_others(folder: Path, names: Collection[str]) -> None:
    """Remove what an earlier bundle left, of another driver or other capabilities.

    A link to an empty file would hide a library of the user's image.
    """
    for path in folder.iterdir():
        status = path.lstat()
        is_ours = stat.S_ISLNK(status.st_mode) or (
            stat.S_ISREG(status.st_mode) and not status.st_size
        )
        if path.name not in names and is_ours:
            path.unlink()


def _link_names(library: Path) -> set[str]:
    """Return the names by which programs load a library: its own, with and without a number.

    A SONAME of another library would replace that one in the container.
    """
    own = f"{library.name.partition('.so')[0]}.so"
    name = soname(library)
    return {own, name if name == own or name.startswith(f"{own}.") else own} - {library.name}


def _create(path: Path, mode: int) -> None:
    """Create an empty file; one that exists remains."""
    _check(path, stat.S_ISREG, "file")
    path.touch(mode)
