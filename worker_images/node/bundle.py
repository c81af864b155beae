"""A specification on disk: config.json, and a folder with the links by which the driver's libraries
are loaded.
"""

import json
from pathlib import Path
from typing import Any

from worker_images.node.node import Node
from worker_images.node.soname import soname
from worker_images.node.spec import Container, specification


def write(node: Node, container: Container, bundle: Path, host: str = "") -> dict[str, Any]:
    """Make the bundle's folder and files, and return the specification.

    Raises SpecError and OSError.
    """
    made = specification(node, container, bundle.resolve(), host)
    bundle.mkdir(parents=True, exist_ok=True)
    _lay_out(node, bundle / "driver")
    (bundle / "config.json").write_text(json.dumps(made, indent=1) + "\n")
    return made


def _lay_out(node: Node, folder: Path) -> None:
    """An empty file for each of the driver's to be mounted over, and beside each library the link
    that programs ask for.
    """
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
