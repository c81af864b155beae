"""Comparison of the pins of versions.yaml with the folders below images/."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

from worker_images.errors import Finding
from worker_images.model.catalog import Catalog, opened
from worker_images.model.component import (
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
from worker_images.model.document import Document, raise_findings
from worker_images.model.pins import ComponentPin, Pins, Source
from worker_images.model.tree import COMPONENTS, Tree

OWN = "the program is compiled from the component's folder"
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
        if any(isinstance(definition.origin(each), CProgram) for each in get_args(Source)):
            places.append(f"{COMPONENTS}/{name}/{name}.c")
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
