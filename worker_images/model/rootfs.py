"""images/base/rootfs.yaml: how a root filesystem differs from its Debian packages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints

from worker_images.model.pins import DebianName
from worker_images.model.schema import Strict, pattern, read_model
from worker_images.model.tree import Tree

PLACE = "images/base/rootfs.yaml"
PATTERN = pattern(
    r"^(/[^\x00-\x20/]+)+$", "an absolute path or pattern that does not end in a slash"
)
LINE = pattern(r"^\S(.*\S)?$", "one line of text")

Pattern = Annotated[str, StringConstraints(pattern=PATTERN)]
Line = Annotated[str, StringConstraints(pattern=LINE)]


class Rules(Strict):
    """Packages and paths that are removed, and paths that are added.

    `packages` and `dropped` have reasons, `kept` are exceptions. `links` have their targets,
    `files` the pattern of the files that they are joined from, `folders` their reasons.
    """

    packages: dict[DebianName, Line]
    dropped: dict[Pattern, Line]
    kept: dict[Pattern, Line]
    links: dict[Pattern, Line]
    files: dict[Pattern, Pattern]
    folders: dict[Pattern, Line]


def dropping(rules: Rules, patterns: Mapping[str, str]) -> Rules:
    """Rules that also leave out a component's patterns."""
    return (
        rules.model_copy(update={"dropped": {**rules.dropped, **patterns}}) if patterns else rules
    )


def load(root: Path) -> Rules:
    """Read the file of a checkout; raises DocumentError."""
    return read_model(Tree(root), PLACE, Rules)
