"""The folders below images/: components, variants and the packages of the base."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from worker_images.model import rootfs
from worker_images.model.component import (
    Architecture,
    DebianPackage,
    Definition,
)
from worker_images.model.document import Document, read
from worker_images.model.pins import (
    DebianName,
    Name,
    Reason,
    unique,
)
from worker_images.model.rootfs import Rules
from worker_images.model.schema import Strict, pattern, read_model
from worker_images.model.tree import COMPONENTS, Tree

# It becomes the value of a label, so it holds no quotes.
PURPOSE = pattern(
    r"^[0-9A-Za-z][0-9A-Za-z ,.:;()+-]{0,99}$", "must be one line of plain text without quotes"
)


class Variant(Strict):
    """images/NAME/variant.yaml: purpose, components in layer order, platforms of a release.

    `replaces` is the reason why a project replaces the checkout's variant of this name.
    """

    purpose: Annotated[str, StringConstraints(pattern=PURPOSE)]
    platforms: Annotated[
        tuple[Architecture, ...], Field(strict=False, min_length=1), AfterValidator(unique)
    ]
    components: Annotated[
        tuple[Name, ...], Field(strict=False, min_length=1), AfterValidator(unique)
    ]
    replaces: Reason | None = None


class BasePackages(Strict):
    """images/base/packages.yaml: names of Debian packages, each with a reason."""

    base: dict[DebianName, str]
    cgo: dict[DebianName, str]
    cross: dict[DebianName, str]
    target: dict[DebianName, str]
    lock: dict[DebianName, str]
    unused: dict[str, str]
    tools: dict[str, dict[DebianName, str]]


@dataclass(frozen=True)
class Catalog:
    """Everything that can be built.

    `own` are the variants that are built unless others are named: a project's own if it has any.
    """

    components: Mapping[str, Definition]
    variants: Mapping[str, Variant]
    packages: BasePackages
    rules: Rules
    own: tuple[str, ...]

    def missing(self, variant: str) -> tuple[str, ...]:
        """Components of a variant that have no folder yet."""
        return tuple(
            name for name in self.variants[variant].components if name not in self.components
        )

    def dropped(self, names: Iterable[str]) -> dict[str, str]:
        """Patterns of files that components leave out of their Debian packages, with reasons."""
        origins = (self.components[name].packages for name in names)
        found = (each.dropped for each in origins if isinstance(each, DebianPackage))
        return {pattern: reason for each in found for pattern, reason in each.items()}

    @property
    def buildable(self) -> tuple[str, ...]:
        """Own variants whose components all exist."""
        return tuple(name for name in self.own if not self.missing(name))


def load(root: Path) -> Catalog:
    """Read the folders below images/; raises DocumentError."""
    tree = Tree(root)
    folders = sorted(path.name for path in tree.glob(f"{COMPONENTS}/*") if path.is_dir())
    components = {
        name: read_model(tree, f"{COMPONENTS}/{name}/component.yaml", Definition)
        for name in folders
    }
    names = sorted(path.parent.name for path in tree.glob("images/*/variant.yaml"))
    variants = {name: read_model(tree, f"images/{name}/variant.yaml", Variant) for name in names}
    packages = read_model(tree, "images/base/packages.yaml", BasePackages)
    own = tuple(name for name in names if (root / f"images/{name}/variant.yaml").is_file())
    return Catalog(components, variants, packages, rootfs.load(root), own or tuple(names))


def opened(tree: Tree, place: str) -> Document:
    """Read a file of a project or its checkout, for the positions of its keys."""
    path = tree.find(place)
    return read(path, tree.name(path))
