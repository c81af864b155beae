"""The Debian packages of an image: its own records, compared with the lock."""

import email.message
import email.parser
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from worker_images.build.inputs import BASE, Root
from worker_images.build.plan import Plan
from worker_images.errors import PolicyError
from worker_images.harness.dpkg import MAX_BYTES, STATUS
from worker_images.model import lock
from worker_images.model.component import DebianPackage
from worker_images.model.oci.image import Image
from worker_images.model.rootfs import Rules
from worker_images.release import licences

DOCUMENTS = "/usr/share/doc"
SUMS = ".md5sums"
POOL = re.compile(r"/pool/[^/]+/[^/]+/(?P<source>[^/]+)/")


@dataclass(frozen=True)
class Package:
    """An installed package, with the SHA-256 of its .deb.

    `component` is the component that it belongs to, or base. `copyright` is the path of its licence
    texts in the image; empty if there is none. `sums` are the MD5 digests of its files, by path.
    """

    name: str
    version: str
    source: str
    architecture: str
    component: str
    sha256: str
    copyright: str
    licences: tuple[str, ...]
    sums: Mapping[str, str]


def packages(image: Image, plan: Plan, rules: Rules) -> tuple[Package, ...]:
    """Return the packages that an image records, by name.

    Raises PolicyError if they are not those of the lock.
    """
    locked = {
        package.name: (package, root.owner)
        for root in installed_roots(plan)
        for package in root.packages
        if package.name not in rules.packages
    }
    every = [package for package, _ in locked.values()]
    records = _records(image)
    _compare(records, every)
    return tuple(
        _package(image, records[name], *locked[name], _copyright(image, locked[name][0], every))
        for name in sorted(records)
    )


def installed_roots(plan: Plan) -> Iterator[Root]:
    """The root filesystems whose packages are in the image: the base's, and those of components."""
    owners = {each.name for each in plan.components if isinstance(each.origin, DebianPackage)}
    for root in plan.inputs:
        if isinstance(root, Root) and root.owner in {BASE, *owners}:
            yield root


def source_of(package: lock.Package) -> str:
    """The name of a package's source package, from the path in Debian's pool."""
    found = POOL.search(package.url)
    return found["source"] if found else package.name


def _records(image: Image) -> dict[str, email.message.Message]:
    """The record of each package, by the name of its file."""
    return {
        entry.path.rpartition("/")[2]: email.parser.BytesParser().parsebytes(
            image.read(entry, MAX_BYTES)
        )
        for entry in image.entries
        if entry.kind == "file"
        and PurePosixPath(entry.path).parent == PurePosixPath(STATUS)
        and not entry.path.endswith(SUMS)
    }


def _compare(records: Mapping[str, email.message.Message], locked: Sequence[lock.Package]) -> None:
    found = {name: str(record["Version"]) for name, record in records.items()}
    wanted = {package.name: package.version for package in locked}
    faults = [
        f"{name} is {found.get(name, 'missing')} in the image"
        f" and {wanted.get(name, 'missing')} in versions.lock"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
    if faults:
        raise PolicyError(f"Debian packages: {'; '.join(faults)}; build the image again")


def _copyright(image: Image, package: lock.Package, locked: Sequence[lock.Package]) -> str:
    """The copyright file of a package, or of another package of its source."""
    same = sorted(each.name for each in locked if source_of(each) == source_of(package))
    paths = (f"{DOCUMENTS}/{name}/copyright" for name in (package.name, *same))
    return next((path for path in paths if path in image.merged), "")


def _package(
    image: Image,
    record: email.message.Message,
    package: lock.Package,
    component: str,
    path: str,
) -> Package:
    text = image.read(image.merged[path], MAX_BYTES).decode(errors="replace") if path else ""
    return Package(
        name=package.name,
        version=package.version,
        source=source_of(package),
        architecture=str(record["Architecture"]),
        component=component,
        sha256=package.sha256,
        copyright=path,
        licences=licences.of_copyright(text),
        sums=_sums(image, package.name),
    )


def _sums(image: Image, name: str) -> dict[str, str]:
    entry = image.merged.get(f"{STATUS}/{name}{SUMS}")
    lines = image.read(entry, MAX_BYTES).decode().splitlines() if entry else []
    return {f"/{path}": digest for digest, _, path in (line.partition("  ") for line in lines)}
