"""Locked Debian packages of the images of which an archive has a newer version."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from worker_images.build import plan
from worker_images.build.component import Component
from worker_images.build.inputs import BASE, Root
from worker_images.build.requirements import ARCHITECTURES
from worker_images.build.tars import Progress
from worker_images.errors import Finding
from worker_images.fetch import apt
from worker_images.model.component import DebianPackage
from worker_images.model.document import raise_findings, read
from worker_images.model.exceptions import Excepted, Line
from worker_images.model.lock import Lock, Package
from worker_images.model.project import Project
from worker_images.model.schema import Strict, pattern, validate

EXCEPTIONS = "security-exceptions.yaml"
IDENTITY = pattern(
    r"^[a-z0-9][a-z0-9+.-]+=[0-9][0-9A-Za-z.+:~-]*$",
    "a package and its newer version, such as zlib1g=1:1.3.1-2",
)


class Entry(Excepted):
    """A newer version that the images may be published without."""

    id: Annotated[str, StringConstraints(pattern=IDENTITY)]
    owner: Line


class File(Strict):
    """security-exceptions.yaml."""

    exceptions: Annotated[tuple[Entry, ...], Field(strict=False)]


@dataclass(frozen=True)
class Use:
    """A locked package of an image."""

    package: Package
    architecture: str
    variant: str
    owner: str


@dataclass(frozen=True)
class Outdated:
    """A package of which an archive has a newer version, and the images that hold it.

    `owners` are the base and components that the package belongs to.
    """

    package: str
    locked: str
    newer: str
    architectures: tuple[str, ...]
    variants: tuple[str, ...]
    owners: tuple[str, ...]

    @property
    def identity(self) -> str:
        """The package and its newer version, as exceptions name them."""
        return f"{self.package}={self.newer}"


@dataclass(frozen=True)
class Freshness:
    """What each archive has in newer versions, and the exceptions that apply."""

    security: tuple[Outdated, ...]
    main: tuple[Outdated, ...]
    packages: int
    exceptions: Mapping[str, Entry]

    @property
    def refused(self) -> tuple[Outdated, ...]:
        """The packages with a security update that no exception names."""
        return tuple(each for each in self.security if each.identity not in self.exceptions)

    def as_data(self) -> dict[str, object]:
        """Plain data for JSON."""

        def row(each: Outdated) -> dict[str, object]:
            entry = self.exceptions.get(each.identity)
            return asdict(each) | {"exception": entry.model_dump() if entry else None}

        return {
            "packages": self.packages,
            "security": [row(each) for each in self.security],
            "main": [asdict(each) for each in self.main],
        }


def check(project: Project, locked: Lock, today: date, progress: Progress) -> Freshness:
    """Compare the packages of all images with Debian's archives.

    Raises FetchError for an archive that does not answer or is not signed, and DocumentError for
    an exception that has expired or is not needed.
    """
    uses, debian = tuple(uses_of(project, locked)), project.pins.debian
    progress(f"reading the index of {debian.security}")
    security = _outdated(uses, apt.security_sources(debian))
    progress(f"reading the index of {debian.mirror}")
    main = _outdated(uses, apt.main_sources(debian))
    found = {each.identity for each in security}
    exceptions = _exceptions(project, found, today)
    return Freshness(security, main, len({each.package for each in uses}), exceptions)


def _exceptions(project: Project, found: Collection[str], today: date) -> dict[str, Entry]:
    """Read the exceptions; those of a checkout do not apply to a project, which may have none."""
    path = project.root / EXCEPTIONS
    if not path.exists() and not project.stands_alone:
        return {}
    return read_exceptions(path, found, today)


def uses_of(project: Project, locked: Lock) -> Iterator[Use]:
    """Yield the locked packages that reach images: of the base, and of Debian components."""
    for variant in project.catalog.buildable:
        for architecture in ARCHITECTURES:
            planned = plan.make(project, locked, variant, "packages", architecture)
            if any(architecture not in each.origin.architectures for each in planned.components):
                continue
            owners = {each.name for each in planned.components if _is_debian(each)} | {BASE}
            for each in planned.inputs:
                if isinstance(each, Root) and each.owner in owners:
                    for package in each.packages:
                        yield Use(package, architecture, variant, each.owner)


def _is_debian(component: Component) -> bool:
    return isinstance(component.origin, DebianPackage)


def _outdated(uses: Collection[Use], sources: str) -> tuple[Outdated, ...]:
    """Return the packages of which an archive has a newer version, in the order of their names."""
    names = {each.package.name for each in uses}
    newest = {
        architecture: apt.newest(sources, names, architecture)
        for architecture in dict.fromkeys(each.architecture for each in uses)
    }
    groups: dict[tuple[str, str, str], list[Use]] = {}
    for use in uses:
        name, version = use.package.name, use.package.version
        newer = newest[use.architecture].get(name, version)
        if apt.is_later(newer, version):
            groups.setdefault((name, version, newer), []).append(use)
    return tuple(
        Outdated(
            *names,
            architectures=_sorted(each.architecture for each in held),
            variants=_sorted(each.variant for each in held),
            owners=_sorted(each.owner for each in held),
        )
        for names, held in sorted(groups.items())
    )


def _sorted(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def read_exceptions(path: Path, found: Collection[str], today: date) -> dict[str, Entry]:
    """Read the exceptions, by package and version.

    Raises DocumentError for each that has expired, occurs twice, or names no newer version that
    was found.
    """
    document = read(path, path.name)
    entries = validate(document, File).exceptions
    faults: list[Finding] = []
    first: dict[str, int] = {}
    for number, entry in enumerate(entries):
        place = ("exceptions", number)
        if first.setdefault(entry.id, number) != number:
            faults.append(document.finding(place, entry.id, "it occurs twice", "delete one"))
        elif entry.id not in found:
            why = "the security archive has no such newer version of a locked package"
            faults.append(document.finding(place, entry.id, f"not needed: {why}", "delete it"))
        elif entry.has_expired(today):
            why, fix = f"expired on {entry.expires}", f"run make lock, or ask {entry.owner}"
            faults.append(document.finding(place, entry.id, why, fix))
    raise_findings(faults)
    return {entry.id: entry for entry in entries}
