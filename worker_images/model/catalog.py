"""The folders under images/: which components exist, which variants hold them, what the base is
made of.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from worker_images.errors import Finding
from worker_images.model import rootfs
from worker_images.model.component import (
    DebianPackage,
    Definition,
    UpstreamFile,
    UpstreamImage,
    UpstreamRepository,
    Wheel,
)
from worker_images.model.document import Document, raise_findings, read
from worker_images.model.pins import ComponentPin, DebianName, Name, Pins
from worker_images.model.rootfs import Rules
from worker_images.model.schema import Strict, pattern, read_model

# It becomes a label, so nothing in it may end one.
PURPOSE = pattern(r"^[0-9A-Za-z][0-9A-Za-z ,.:;()+-]{0,99}$", "one line of plain words")


class Variant(Strict):
    """images/NAME/variant.yaml: what the variant is for and which components it holds, in layer
    order.
    """

    purpose: Annotated[str, StringConstraints(pattern=PURPOSE)]
    components: Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]


class BasePackages(Strict):
    """images/base/packages.yaml: Debian package names, each with the reason why it is there."""

    base: dict[DebianName, str]
    cgo: dict[DebianName, str]
    lock: dict[DebianName, str]
    unused: dict[str, str]
    engine: dict[DebianName, str]


@dataclass(frozen=True)
class Catalog:
    """All that can be built."""

    components: Mapping[str, Definition]
    variants: Mapping[str, Variant]
    packages: BasePackages
    rules: Rules

    def missing(self, variant: str) -> tuple[str, ...]:
        """Components that a variant names and that have no folder yet."""
        return tuple(
            name for name in self.variants[variant].components if name not in self.components
        )

    @property
    def buildable(self) -> tuple[str, ...]:
        """Variants whose components all exist."""
        return tuple(name for name in self.variants if not self.missing(name))


def load(root: Path) -> Catalog:
    """Read the tree below images/; raises DocumentError."""
    images = root / "images"
    folders = sorted(path for path in (images / "components").iterdir() if path.is_dir())
    components = {
        folder.name: read_model(root, folder / "component.yaml", Definition) for folder in folders
    }
    variants = {
        path.parent.name: read_model(root, path, Variant)
        for path in sorted(images.glob("*/variant.yaml"))
    }
    packages = read_model(root, images / "base" / "packages.yaml", BasePackages)
    return Catalog(components, variants, packages, rootfs.load(root))


def check(pins: Pins, document: Document, catalog: Catalog, root: Path) -> None:
    """Hold pins and folders against each other; raises DocumentError with every mismatch."""
    raise_findings(
        [
            *_unused(pins, document, catalog),
            *_incomplete(pins, document, catalog, root),
            *_mismatched(pins, document, catalog),
            *_arguments(catalog, root),
            *_digests(pins, document),
        ]
    )


def _unused(pins: Pins, document: Document, catalog: Catalog) -> Iterator[Finding]:
    used = {name for variant in catalog.variants.values() for name in variant.components}
    for name in pins.components.keys() - used:
        place = ("components", name)
        fix = "delete it or name it in a variant.yaml"
        yield document.finding(place, "unused pin", "no variant holds it", fix)


def _incomplete(pins: Pins, document: Document, catalog: Catalog, root: Path) -> Iterator[Finding]:
    for name, definition in catalog.components.items():
        folder = Path("images/components") / name
        if name not in pins.components:
            place = ("components", name)
            yield document.finding(place, "missing", f"{folder} exists", "pin it")
        templates = (definition.template(name, "packages"), definition.template(name, "upstream"))
        for file in (folder / "expect.yaml", *(Path("images") / each for each in templates)):
            if not (root / file).is_file():
                why = "a component is a whole folder"
                yield Finding(str(file), 1, 1, name, "missing", why, "write it")


def _mismatched(pins: Pins, document: Document, catalog: Catalog) -> Iterator[Finding]:
    """Pins without the keys that the component's source needs, or with others."""
    for name in catalog.components.keys() & pins.components.keys():
        definition, pin = catalog.components[name], pins.components[name]
        if isinstance(definition.packages, DebianPackage):
            if pin.packages.version or pin.packages.describe:
                why = "versions.lock pins Debian packages"
                yield _of(document, name, "packages", "not used", why, "delete it")
        elif not pin.packages.version:
            kind = "wheel" if isinstance(definition.packages, Wheel) else "Go module"
            yield _of(document, name, "packages", "no version", f"it is a {kind}", "add version")
        yield from _upstream(document, name, definition, pin)


def _upstream(
    document: Document, name: str, definition: Definition, pin: ComponentPin
) -> Iterator[Finding]:
    origin, pinned = definition.upstream, pin.upstream
    if isinstance(origin, DebianPackage):
        if pinned:
            why = "the component is a Debian package, which apt verifies"
            yield _of(document, name, "upstream", "not used", why, "delete it")
        return
    needed = {
        UpstreamImage: ("digest",),
        UpstreamFile: ("sha256", "sha512"),
        UpstreamRepository: ("sha256",),
    }[type(origin)]
    if not pinned or not any(getattr(pinned, key) for key in needed):
        keys = " or ".join(needed)
        why = "a pin without a digest is not a pin"
        yield _of(document, name, "upstream", f"no {keys}", why, f"add {keys}")


def _of(document: Document, name: str, key: str, what: str, why: str, fix: str) -> Finding:
    return document.finding(("components", name, key), what, why, fix)


def _arguments(catalog: Catalog, root: Path) -> Iterator[Finding]:
    """Each component needs a build argument of its own."""
    arguments = [each.argument for each in catalog.components.values()]
    for name, definition in catalog.components.items():
        if arguments.count(definition.argument) > 1:
            file = Path("images/components") / name / "component.yaml"
            document = read(root / file, str(file))
            yield document.finding(("argument",), "used twice", "it becomes one ARG", "rename it")


def _digests(pins: Pins, document: Document) -> Iterator[Finding]:
    """Two artifacts cannot have one digest: one of them was pasted."""
    seen: dict[str, str] = {}
    for name, pin in pins.components.items():
        digests = pin.upstream.model_dump(exclude_none=True) if pin.upstream else {}
        for key, value in digests.items():
            owner = seen.setdefault(value, name)
            if owner != name:
                place = ("components", name, "upstream", key)
                why = f"{owner} has it too"
                yield document.finding(place, "a digest used twice", why, "look it up again")
