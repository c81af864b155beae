"""Writes an OCI bundle: config.json, and a folder with links to the driver's libraries."""

import json
from pathlib import Path
from typing import Any

from worker_images.node.node import Node
from worker_images.node.soname import soname
from worker_images.node.spec import Container, specification


def write(node: Node, container: Container, bundle: Path, host: str = "") -> dict[str, Any]:
    """Write the bundle's folder and files, and return the specification.

    Raises SpecError and OSError.
    """
    config = specification(node, container, bundle.resolve(), host)
    bundle.mkdir(parents=True, exist_ok=True)
    _create_mount_points(node, bundle / "driver")
    (bundle / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    return config


def _create_mount_points(node: Node, folder: Path) -> None:
    """Create an empty file for each driver file, and the links by which programs load a library."""
    for name in ("lib64", "bin"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for path in node.programs:
        (folder / "bin" / path.name).touch(mode=0o755)
    for path in node.libraries:
        (folder / "lib64" / path.name).touch()
        for name in {soname(path), f"{path.name.partition('.so.')[0]}.so"} - {path.name, ""}:
            link = folder / "lib64" / name
            link.unlink(missing_ok=True)
            link.symlink_to(path.name)
