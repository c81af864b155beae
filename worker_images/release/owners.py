"""The ELF files of an image, each with the one package or component that owns it."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.errors import PolicyError
from worker_images.harness import expect
from worker_images.model.oci import elf
from worker_images.model.oci.image import Entry, Image
from worker_images.release.debian import Package


@dataclass(frozen=True)
class Program:
    """An ELF file in a layer, and its owner: a component, or a Debian package of it."""

    entry: Entry
    sha256: str
    component: str
    package: str = ""


def programs(
    image: Image, root: Path, components: Sequence[str], packages: Sequence[Package]
) -> tuple[Program, ...]:
    """Return the ELF files of all layers with their owners, in layer order.

    A package owns a file by its path and MD5 digest, a component by the path in its expect.yaml.
    Raises PolicyError for files that have no owner, or more than one.
    """
    architecture = str(image.config.get("architecture"))
    declared = {
        path: name
        for name in components
        for path, entry in expect.component(root, name, architecture).declared.items()
        if entry.kind == "file"
    }
    recorded: dict[str, list[Package]] = {}
    for package in packages:
        for path in package.sums:
            recorded.setdefault(path, []).append(package)
    found, faults = [], []
    for entry in elf_files(image):
        owners = list(_owners(image, entry, recorded.get(entry.path, ()), declared))
        if len(owners) == 1:
            found.append(owners[0])
        else:
            faults.append(f"{entry.path} {_fault(owners)}")
    if faults:
        raise PolicyError(
            f"ELF files without exactly one owner: {'; '.join(faults)};"
            " declare each in the expect.yaml of its component"
        )
    return tuple(found)


def elf_files(image: Image) -> Iterator[Entry]:
    """The ELF files of all layers, also those that a later layer hides."""
    for entry in image.entries:
        if entry.kind in {"file", "hardlink"}:
            start = next(image.contents(entry), b"")
            if start.startswith(elf.ELF):
                yield entry


def _owners(
    image: Image, entry: Entry, packages: Sequence[Package], declared: dict[str, str]
) -> Iterator[Program]:
    sha256 = image.sha256(entry)
    if entry.path in declared:
        yield Program(entry, sha256, declared[entry.path])
    for package in packages:
        if package.sums[entry.path] == _md5(image, entry):
            yield Program(entry, sha256, package.component, package.name)


def _md5(image: Image, entry: Entry) -> str:
    total = hashlib.md5(usedforsecurity=False)
    for piece in image.contents(entry):
        total.update(piece)
    return total.hexdigest()


def _fault(owners: Sequence[Program]) -> str:
    if not owners:
        return "belongs to no package and no component"
    return f"belongs to {' and '.join(each.package or each.component for each in owners)}"
