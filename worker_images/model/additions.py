"""What a project adds to its checkout; what it replaces must say so."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from worker_images.errors import Finding
from worker_images.model.catalog import Catalog, Variant, opened
from worker_images.model.component import Definition
from worker_images.model.document import Document, raise_findings
from worker_images.model.pins import ComponentPin, Pins
from worker_images.model.tree import COMPONENTS, Tree

# What a project may add to a component of the checkout.
EXTENSIONS = {"go.mod", "go.sum", "patches"}
# What a project may add to a variant of the checkout.
GENERATED = {"Dockerfile.upstream", "Dockerfile.worker"}
LEDGER = "ledger.json"


def check(tree: Tree, pins: Pins, document: Document, catalog: Catalog) -> None:
    """Compare a project with its checkout; raises DocumentError with every fault."""
    raise_findings(
        [
            *_pins(pins, document),
            *_replaced(tree, COMPONENTS, "component.yaml", catalog.components),
            *_replaced(tree, "images", "variant.yaml", catalog.variants),
            *_files(tree),
        ]
    )


def _pins(pins: Pins, document: Document) -> Iterator[Finding]:
    """Pins that replace one of the checkout without saying so, or another one than they say."""
    for name, pin in pins.components.items():
        if ("components", name) in document.marks:
            yield from _pin(name, pin, document, _version_below(document, name))


def _pin(name: str, pin: ComponentPin, document: Document, below: str) -> Iterator[Finding]:
    place = ("components", name, "instead_of")
    if pin.instead_of == (below or None):
        return
    if not below:
        why = "no checkout below pins this component"
        yield document.finding(place, "replaces no pin", why, "delete it")
    elif pin.instead_of is None:
        what, why = f"the checkout pins {below}", "a pin that replaces another one must say so"
        fix = f'delete the pin, or add instead_of: "{below}"'
        yield document.finding(("components", name), what, why, fix)
    else:
        what = f"the checkout pins {below} now, not {pin.instead_of}"
        fix = f'delete the pin to take {below}, or write instead_of: "{below}" to keep it'
        yield document.finding(place, what, "the pin was chosen instead of another one", fix)


def _version_below(document: Document, name: str) -> str:
    """The version that the checkout pins; empty if it does not, or if there is none below."""
    found: object = document.below.value if document.below else {}
    for key in ("components", name, "version"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _replaced(
    tree: Tree, folder: str, file: str, found: Mapping[str, Definition | Variant]
) -> Iterator[Finding]:
    """Folders that replace one of the checkout without saying so, or say so and do not."""
    for name, described in found.items():
        place = f"{folder}/{name}/{file}"
        both = not tree.stands_alone and all((each / place).is_file() for each in tree.folders)
        if both and not described.replaces:
            why = "a folder that replaces another one must say so"
            fix = f'rename it, or add replaces: "REASON" to {file}'
            yield opened(tree, place).finding((), f"the checkout has {name} too", why, fix)
        if described.replaces and not both:
            why = f"no checkout below has {folder}/{name}"
            yield opened(tree, place).finding(("replaces",), "replaces no folder", why, "delete it")


def _files(tree: Tree) -> Iterator[Finding]:
    """Files of a project's images/ that nothing reads, such as changed templates of the base."""
    if tree.stands_alone:
        return
    for path in sorted((tree.root / "images").glob("*")):
        if path.name not in {LEDGER, Path(COMPONENTS).name}:
            yield from _unread(tree, path, "variant.yaml", GENERATED)
    for path in sorted((tree.root / COMPONENTS).glob("*")):
        yield from _unread(tree, path, "component.yaml", EXTENSIONS)


def _unread(tree: Tree, path: Path, file: str, allowed: set[str]) -> Iterator[Finding]:
    """The files of a folder without its own description, except those that are allowed there."""
    if (path / file).is_file():
        return
    names = {each.name for each in path.iterdir()} if path.is_dir() else {""}
    for name in sorted(names - allowed):
        why, fix = f"it has no {file}", f"delete it, or write {path.name}/{file}"
        yield Finding(tree.name(path / name), 1, 1, path.name, "is not read", why, fix)
