"""The folders under images/: which components exist, which variants hold them, what the base is
made of.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from worker_images.errors import Finding
from worker_images.model.document import Document, read, refuse
from worker_images.model.pins import DebianName, Name, Pins
from worker_images.model.schema import Model, Strict, form, validated

# It becomes a label, so nothing in it may end one.
PURPOSE = form(r"^[0-9A-Za-z][0-9A-Za-z ,.:;()+-]{0,99}$", "one line of plain words")


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

    components: tuple[str, ...]
    variants: dict[str, Variant]
    packages: BasePackages

    def missing(self, variant: str) -> tuple[str, ...]:
        """Components that a variant names and nobody has written yet."""
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
    components = tuple(
        sorted(path.name for path in (images / "components").iterdir() if path.is_dir())
    )
    variants = {
        path.parent.name: checked(root, path, Variant)
        for path in sorted(images.glob("*/variant.yaml"))
    }
    return Catalog(
        components, variants, checked(root, images / "base" / "packages.yaml", BasePackages)
    )


def checked(root: Path, path: Path, model: type[Model]) -> Model:
    """Read a file of the checkout; raises DocumentError."""
    return validated(read(path, str(path.relative_to(root))), model)


def check(pins: Pins, document: Document, catalog: Catalog, root: Path) -> None:
    """Hold pins and folders against each other; raises DocumentError with every mismatch."""
    used = {name for variant in catalog.variants.values() for name in variant.components}
    findings = [
        document.finding(
            ("components", name),
            "unused pin",
            "no variant holds it",
            "delete it or name it in a variant.yaml",
        )
        for name in pins.components.keys() - used
    ]
    for name in catalog.components:
        folder = Path("images/components") / name
        if name not in pins.components:
            findings.append(
                document.finding(("components", name), "missing", f"{folder} exists", "pin it")
            )
        absent = [
            folder / part
            for part in ("expect.yaml", "packages.j2", "vendor.j2")
            if not (root / folder / part).is_file()
        ]
        findings += [
            Finding(str(part), 1, 1, name, "missing", "a component is a whole folder", "write it")
            for part in absent
        ]
    refuse([*findings, *_shared(pins, document)])


def _shared(pins: Pins, document: Document) -> Iterator[Finding]:
    """Two components cannot have one argument, nor two artifacts one digest: one of them was
    pasted.
    """
    seen: dict[str, str] = {}
    arguments = [pin.argument for pin in pins.components.values()]
    for name, pin in pins.components.items():
        if arguments.count(pin.argument) > 1:
            yield document.finding(
                ("components", name, "argument"), "used twice", "it becomes one ARG", "rename it"
            )
        for supply, source in (("packages", pin.packages), ("vendor", pin.vendor)):
            for key, value in source.model_dump(
                include={"sha256", "sha512", "digest"}, exclude_none=True
            ).items():
                owner = seen.setdefault(value, name)
                if owner != name:
                    place = ("components", name, supply, key)
                    yield document.finding(
                        place, "a digest used twice", f"{owner} has it too", "look it up again"
                    )
