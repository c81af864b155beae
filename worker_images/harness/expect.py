"""expect.yaml: the files and settings that an image must have, written by hand."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints

from worker_images.model.oci.image import Entry, plain
from worker_images.model.pins import Sha256
from worker_images.model.schema import Strict, pattern, read_model
from worker_images.model.tree import COMPONENTS, Tree

PATH = pattern(r"^/[^\x00-\x20]*$", "an absolute path, ending in / for a folder")
RIGHTS = pattern(
    r"^[0-7]{4}( [0-9]{1,5}:[0-9]{1,5})?$",
    "four octal digits, then user:group unless root owns the path, such as 0755 or 0640 0:42",
)
MEGABYTES = pattern(r"^[0-9]{1,4}(\.[0-9]{1,2})?$", "megabytes (10^6 bytes), such as 48")

COMMAND = pattern(r"^[a-z0-9][0-9A-Za-z._/ +-]*$", "a program and its arguments")

Command = Annotated[str, StringConstraints(pattern=COMMAND)]
Path_ = Annotated[str, StringConstraints(pattern=PATH)]
Rights = Annotated[str, StringConstraints(pattern=RIGHTS)]
Megabytes = Annotated[str, StringConstraints(pattern=MEGABYTES)]
Patterns = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


class Holding(Strict):
    """Paths of a layer that belong to no Debian package."""

    files: dict[Path_, Rights]
    links: dict[Path_, str] = Field(default_factory=dict)
    sha256: dict[Path_, Sha256] = Field(default_factory=dict)

    @property
    def declared(self) -> dict[str, Entry]:
        """The declared entries, by path."""
        files = {
            path.rstrip("/"): plain(
                path.rstrip("/"), "folder" if path.endswith("/") else "file", rights
            )
            for path, rights in self.files.items()
        }
        return files | {
            path: plain(path, "link", target=target) for path, target in self.links.items()
        }


class BaseExpectation(Holding):
    """Paths of the base, and its special files and modes with the reason of each."""

    special: dict[Path_, str]


class ComponentExpectation(Holding):
    """Paths of a component, and what reveals it anywhere in an image.

    `architectures` has the paths that differ between them. `traces` are path patterns, `marks`
    texts that only its own programs contain. Go programs need none: their tables name the main
    package. `reports` are commands, and what their output begins with; {version} is the version
    that the image must report.
    """

    traces: Patterns
    marks: Annotated[tuple[str, ...], Field(strict=False)] = ()
    reports: dict[Command, str] = Field(default_factory=dict)
    architectures: dict[str, Holding] = Field(default_factory=dict)

    def of(self, architecture: str) -> Self:
        """The expectation with the paths of an architecture among the others."""
        if architecture not in self.architectures:
            return self
        own = self.architectures[architecture]
        merged = {key: getattr(self, key) | getattr(own, key) for key in Holding.model_fields}
        return self.model_copy(update=merged)


class VariantExpectation(Strict):
    """A variant's size budget by architecture, and all of its environment variables.

    An image of the source upstream has a budget of its own, because its base has apt and Perl.
    """

    megabytes: dict[str, Megabytes]
    upstream_megabytes: dict[str, Megabytes]
    environment: dict[str, str]

    def budget(self, source: str, architecture: str) -> float:
        """The largest size of an image, in megabytes."""
        own = self.megabytes if source == "packages" else self.upstream_megabytes
        return float(own[architecture])


def base(root: Path) -> BaseExpectation:
    """Read images/base/expect.yaml; raises DocumentError."""
    return read_model(Tree(root), "images/base/expect.yaml", BaseExpectation)


def component(root: Path, name: str, architecture: str) -> ComponentExpectation:
    """Read images/components/NAME/expect.yaml for an architecture; raises DocumentError."""
    place = f"{COMPONENTS}/{name}/expect.yaml"
    return read_model(Tree(root), place, ComponentExpectation).of(architecture)


def variant(root: Path, name: str) -> VariantExpectation:
    """Read images/NAME/expect.yaml; raises DocumentError."""
    return read_model(Tree(root), f"images/{name}/expect.yaml", VariantExpectation)
