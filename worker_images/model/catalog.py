"""The folders below images/: components, variants and the packages of the base."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

from pydantic import AfterValidator, Field, StringConstraints

from worker_images.errors import Finding
from worker_images.model import rootfs
from worker_images.model.component import (
    Architecture,
    CProgram,
    DebianPackage,
    Definition,
    GoModule,
    Origin,
    UpstreamFile,
    UpstreamImage,
    UpstreamRepository,
    Wheel,
)
from worker_images.model.document import Document, raise_findings, read
from worker_images.model.pins import (
    ComponentPin,
    DebianName,
    Name,
    Pins,
    Reason,
    Source,
    unique,
)
from worker_images.model.rootfs import Rules
from worker_images.model.schema import Strict, pattern, read_model
from worker_images.model.tree import COMPONENTS, Tree

OWN = "the program is compiled from the component's folder"
# It becomes the value of a label, so it holds no quotes.
PURPOSE = pattern(
    r"^[0-9A-Za-z][0-9A-Za-z ,.:;()+-]{0,99}$", "must be one line of plain text without quotes"
)

# Origins that have no pin but the component's version, and why.
UNPINNED: Mapping[Source, Mapping[type[Origin], str]] = {
    "packages": {
        DebianPackage: "versions.lock pins Debian packages",
        CProgram: OWN,
    },
    "upstream": {
        DebianPackage: "the component is a Debian package, which apt verifies",
        CProgram: OWN,
    },
}


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


def check(pins: Pins, document: Document, catalog: Catalog, root: Path) -> None:
    """Compare pins with folders; raises DocumentError with every mismatch."""
    raise_findings(
        [
            *_unused(pins, document, catalog),
            *_incomplete(pins, document, catalog, Tree(root)),
            *_mismatched(pins, document, catalog),
            *_unchangeable(pins, document, catalog, Tree(root)),
            *_arguments(catalog, Tree(root)),
            *_platforms(catalog, Tree(root)),
            *_digests(pins, document),
        ]
    )


def _unused(pins: Pins, document: Document, catalog: Catalog) -> Iterator[Finding]:
    used = {name for variant in catalog.variants.values() for name in variant.components}
    for name in pins.components.keys() - used:
        place = ("components", name)
        fix = "delete it or add the component to a variant.yaml"
        yield document.finding(place, "unused pin", "no variant has this component", fix)


def _incomplete(pins: Pins, document: Document, catalog: Catalog, tree: Tree) -> Iterator[Finding]:
    for name, definition in catalog.components.items():
        folder = tree.component(name)
        if name not in pins.components:
            place = ("components", name)
            yield document.finding(place, "missing", f"{tree.name(folder)} exists", "add a pin")
        places = [f"images/{definition.template(name, each)}" for each in get_args(Source)]
        for file in (f"{COMPONENTS}/{name}/expect.yaml", *places):
            own = file.startswith(COMPONENTS)
            path = folder / Path(file).name if own else tree.find(file)
            if not path.is_file():
                why = "every component needs this file"
                yield Finding(tree.name(path), 1, 1, name, "missing", why, "write it")


def _mismatched(pins: Pins, document: Document, catalog: Catalog) -> Iterator[Finding]:
    """Pins that lack keys which the component's source needs, or have keys which it ignores."""
    for name in catalog.components.keys() & pins.components.keys():
        definition, pin = catalog.components[name], pins.components[name]
        if why := UNPINNED["packages"].get(type(definition.packages)):
            if pin.packages.version or pin.packages.describe:
                yield _finding(document, name, "packages", "not used", why, "delete it")
        elif not pin.packages.version:
            kind = "wheel" if isinstance(definition.packages, Wheel) else "Go module"
            why = f"the component is a {kind}"
            yield _finding(document, name, "packages", "no version", why, "add version")
        yield from _upstream(document, name, definition, pin)


def _unchangeable(
    pins: Pins, document: Document, catalog: Catalog, tree: Tree
) -> Iterator[Finding]:
    """Forks and patches of components that are not compiled here."""
    for name, definition in catalog.components.items():
        if isinstance(definition.packages, GoModule):
            continue
        why = "only Go modules are compiled here: docs/forks.md"
        if name in pins.components and pins.components[name].packages.replace:
            place = ("components", name, "packages", "replace")
            yield document.finding(place, "not used", why, "delete it")
        folder = tree.part(name, "patches")
        if any(folder.glob("*")):
            yield Finding(tree.name(folder), 1, 1, name, "not used", why, "delete the folder")


def _upstream(
    document: Document, name: str, definition: Definition, pin: ComponentPin
) -> Iterator[Finding]:
    origin, pinned = definition.upstream, pin.upstream
    if why := UNPINNED["upstream"].get(type(origin)):
        if pinned:
            yield _finding(document, name, "upstream", "not used", why, "delete it")
        return
    needed = {
        UpstreamImage: ("digest",),
        UpstreamFile: ("sha256", "sha512"),
        UpstreamRepository: ("sha256",),
    }[type(origin)]
    if not pinned or not any(getattr(pinned, key) for key in needed):
        keys = " or ".join(needed)
        why = "a pin without a digest is not a pin"
        yield _finding(document, name, "upstream", f"no {keys}", why, f"add {keys}")


def _finding(document: Document, name: str, key: str, what: str, why: str, fix: str) -> Finding:
    return document.finding(("components", name, key), what, why, fix)


def _arguments(catalog: Catalog, tree: Tree) -> Iterator[Finding]:
    """Build arguments that two components share."""
    arguments = [each.argument for each in catalog.components.values()]
    for name, definition in catalog.components.items():
        if arguments.count(definition.argument) > 1:
            document = opened(tree, f"{COMPONENTS}/{name}/component.yaml")
            why = "another component has the same build argument"
            yield document.finding(("argument",), "used twice", why, "rename it")


def _platforms(catalog: Catalog, tree: Tree) -> Iterator[Finding]:
    """Platforms of a variant for which one of its components is not built."""
    for name, variant in catalog.variants.items():
        document = opened(tree, f"images/{name}/variant.yaml")
        for part in (part for part in variant.components if part in catalog.components):
            lacking = {*variant.platforms} - {*catalog.components[part].packages.architectures}
            for platform in sorted(lacking):
                why = f"{part} is not built for {platform}"
                fix = f"remove it, or add it to architectures in {COMPONENTS}/{part}"
                yield document.finding(("platforms",), f"{platform} cannot be built", why, fix)


def opened(tree: Tree, place: str) -> Document:
    """Read a file of a project or its checkout, for the positions of its keys."""
    path = tree.find(place)
    return read(path, tree.name(path))


def _digests(pins: Pins, document: Document) -> Iterator[Finding]:
    """Digests that two components share: one was pasted by mistake."""
    seen: dict[str, str] = {}
    for name, pin in pins.components.items():
        digests = pin.upstream.model_dump(exclude_none=True) if pin.upstream else {}
        other = digests.pop("arm64", {})
        for key, value in [*digests.items(), *other.items()]:
            owner = seen.setdefault(value, name)
            if owner != name:
                place = ("components", name, "upstream", key)
                why = f"{owner} has the same one"
                yield document.finding(place, "digest used twice", why, "look it up again")
