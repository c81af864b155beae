"""images/base/rootfs.yaml: how a root filesystem differs from what its Debian packages hold."""

from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints

from worker_images.model.pins import DebianName
from worker_images.model.schema import Strict, pattern, read_model

PLACE = Path("images/base/rootfs.yaml")
PATTERN = pattern(
    r"^(/[^\x00-\x20/]+)+$", "an absolute path or pattern that does not end in a slash"
)
LINE = pattern(r"^\S(.*\S)?$", "one line of text")

Pattern = Annotated[str, StringConstraints(pattern=PATTERN)]
Line = Annotated[str, StringConstraints(pattern=LINE)]


class Rules(Strict):
    """Packages and patterns of paths that are left out, with reasons and exceptions, and what is
    written beside: links with their targets, files with the pattern of what they are joined from,
    folders.
    """

    packages: dict[DebianName, Line]
    dropped: dict[Pattern, Line]
    kept: dict[Pattern, Line]
    links: dict[Pattern, Line]
    files: dict[Pattern, Pattern]
    folders: dict[Pattern, Line]


def load(root: Path) -> Rules:
    """Read the file of a checkout; raises DocumentError."""
    return read_model(root, root / PLACE, Rules)
