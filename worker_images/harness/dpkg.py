"""The Debian packages that an image records, and their dependencies."""

import email.parser
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from worker_images.model.oci.image import Image, ImageError
from worker_images.model.pins import PACKAGE

STATUS = "/var/lib/dpkg/status.d"
# The packages that dpkg itself installed.
DATABASE = "/var/lib/dpkg/status"
FIELDS = ("Package", "Version", "Depends", "Pre-Depends", "Provides")
# A record of 10,000 packages has 10 MB.
MAX_BYTES = 32 << 20
INSTALLED = re.compile(rb"^Status: .* installed$", re.MULTILINE)
VERSION = re.compile(r"[0-9][0-9A-Za-z.+:~-]*")
ALTERNATIVE = re.compile(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)")


@dataclass(frozen=True)
class Installed:
    """The version and dependencies of an installed package.

    Each dependency is a tuple of alternatives, of which one is enough.
    """

    version: str
    depends: tuple[tuple[str, ...], ...]
    provides: tuple[str, ...]


def installed(image: Image) -> dict[str, Installed]:
    """Return the Debian packages that the layers record, by name; raises ImageError."""
    found = {}
    for entry in image.entries:
        if (
            PurePosixPath(entry.path).parent == PurePosixPath(STATUS)
            and entry.kind == "file"
            and not entry.path.endswith(".md5sums")
        ):
            name = PurePosixPath(entry.path).name
            found[name] = _record(image.read(entry, MAX_BYTES), name, entry.path)[1]
    return found


def recorded(image: Image) -> dict[str, Installed]:
    """Return these packages, and those that dpkg itself recorded; raises ImageError."""
    entry = image.merged.get(DATABASE)
    text = image.read(entry, MAX_BYTES) if entry and entry.kind == "file" else b""
    stanzas = re.split(rb"\n\n+", text.strip())
    found = [_record(each, "", DATABASE) for each in stanzas if INSTALLED.search(each)]
    return installed(image) | dict(found)


def _record(text: bytes, name: str, place: str) -> tuple[str, Installed]:
    """The name of a package, from its record or the record's file name, and the package."""
    parsed = email.parser.BytesParser().parsebytes(text)
    # The parser has another type for a field that is not ASCII.
    fields = {key: str(parsed[key] or "") for key in FIELDS}
    depends = (*_dependencies(fields["Depends"]), *_dependencies(fields["Pre-Depends"]))
    name, version = name or fields["Package"], fields["Version"]
    # Both become arguments of apt-get.
    if not (re.fullmatch(PACKAGE, name) and VERSION.fullmatch(version)):
        raise ImageError(f"{place}: not a valid record of a Debian package")
    return name, Installed(version, depends, tuple(names(fields["Provides"])))


def _dependencies(field: str) -> Iterator[tuple[str, ...]]:
    for dependency in field.split(","):
        if found := names(dependency):
            yield tuple(found)


def names(field: str) -> list[str]:
    """Return the packages that a field of a record names."""
    return ALTERNATIVE.findall(field)


def unmet(packages: Mapping[str, Installed]) -> set[str]:
    """Return the dependencies that no installed package meets, each by its first alternative."""
    available = {name for each, package in packages.items() for name in (each, *package.provides)}
    depends = (dependency for package in packages.values() for dependency in package.depends)
    return {dependency[0] for dependency in depends if not available.intersection(dependency)}


def unneeded(packages: Mapping[str, Installed], wanted: Iterable[str]) -> set[str]:
    """Return the packages that are neither requested nor needed by a requested one."""
    providers: dict[str, set[str]] = {}
    for name, package in packages.items():
        for provided in (name, *package.provides):
            providers.setdefault(provided, set()).add(name)
    reached, waiting = set[str](), list(wanted)
    while waiting:
        for name in providers.get(waiting.pop(), set()) - reached:
            reached.add(name)
            waiting += [each for dependency in packages[name].depends for each in dependency]
    return set(packages) - reached
