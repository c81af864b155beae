"""images/components/NAME/component.yaml: how each source provides a component."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from worker_images.model.pins import (
    ARGUMENT,
    MODULE,
    WHEEL,
    DebianName,
    Reason,
    Source,
    Version,
)
from worker_images.model.rootfs import Line, Pattern
from worker_images.model.schema import Strict, pattern

Architecture = Literal["amd64", "arm64"]
# The names of architectures in upstream's addresses: Debian's and the kernel's.
MACHINES: Mapping[Architecture, str] = {"amd64": "x86_64", "arm64": "aarch64"}
LACK = pattern(r"^[0-9A-Za-z][ -~]{0,199}$", "must be one line of ASCII text")
URL = pattern(
    r"^https://[0-9A-Za-z./_{}-]+$",
    "must be an https URL; {version} is the pinned version, {arch} is amd64 or arm64, {machine} is"
    " x86_64 or aarch64",
)
REPOSITORY = pattern(
    r"^https://[0-9A-Za-z./_{}-]+ [0-9A-Za-z./_ -]+$",
    "must be an https URL, a suite and components",
)
HOST = pattern(r"^[a-z0-9][a-z0-9.-]*$", "must be the name of a host")
LICENCE = pattern(
    r"^(LicenseRef-)?[0-9A-Za-z.-]+( (AND|OR|WITH) (LicenseRef-)?[0-9A-Za-z.-]+)*$",
    "must be an SPDX licence expression",
)
PROGRAM = pattern(r"^/usr/(local/)?s?bin/[a-z0-9-]+$", "must be a path such as /usr/local/bin/NAME")
GLIBC = pattern(r"^2\.[0-9]{1,2}$", "must be a release of glibc, such as 2.17")
LIBRARY = pattern(r"^[a-z]+$", "must be a library of glibc, such as dl")
NAME = pattern(r"^[a-z0-9][a-z0-9._/-]*$", "must be an image name without a tag")

Text = Annotated[tuple[Annotated[str, StringConstraints(pattern=LACK)], ...], Field(strict=False)]
Packages = Annotated[tuple[DebianName, ...], Field(strict=False)]
Commands = Annotated[
    tuple[Annotated[str, StringConstraints(pattern=MODULE)], ...],
    Field(strict=False, min_length=1),
]
Architectures = Annotated[tuple[Architecture, ...], Field(strict=False, min_length=1)]


class _Origin(Strict):
    """Keys of every origin: its architectures, and what this source cannot provide."""

    architectures: Architectures = ("amd64",)
    lacks: Text = ()


class GoModule(_Origin):
    """Go commands of one module, and the stage that compiles them."""

    kind: Literal["go"]
    module: Annotated[str, StringConstraints(pattern=MODULE)]
    commands: Commands
    builder: Literal["go", "cgo"]
    builder_packages: Packages = ()


class Wheel(_Origin):
    """A wheel of PyPI."""

    kind: Literal["wheel"]
    project: Annotated[str, StringConstraints(pattern=WHEEL)]
    builder_packages: Packages = ()


class DebianPackage(_Origin):
    """A Debian package and others of the same layer, with the packages that they depend on.

    `dropped` are patterns of their files that are left out, each with its reason.
    """

    kind: Literal["debian"]
    package: DebianName
    also: Packages = ()
    dropped: dict[Pattern, Line] = Field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All packages that are named; the version of the component is that of the first."""
        return (self.package, *self.also)


class CProgram(_Origin):
    """A program of one C file of the component's folder, NAME.c, and its path in the image.

    It runs with the release `glibc` of the C library and later ones, and loads `libraries`.
    """

    kind: Literal["c"]
    program: Annotated[str, StringConstraints(pattern=PROGRAM)]
    glibc: Annotated[str, StringConstraints(pattern=GLIBC)]
    libraries: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=LIBRARY)], ...], Field(strict=False)
    ] = ()


class Archive(Strict):
    """The tar that releases publish, from one on, instead of the single file."""

    since: Version
    url: Annotated[str, StringConstraints(pattern=URL)]


class UpstreamFile(_Origin):
    """A file, pinned by its SHA-256 or SHA-512.

    `redirects` are the hosts to which the host of the file may redirect.
    """

    kind: Literal["file"]
    url: Annotated[str, StringConstraints(pattern=URL)]
    archive: Archive | None = None
    redirects: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=HOST)], ...], Field(strict=False)
    ] = ()

    def is_archive(self, version: str) -> bool:
        """Whether a release publishes an archive."""
        return bool(self.archive and _numbers(version) >= _numbers(self.archive.since))

    def address(self, version: str, architecture: Architecture) -> str:
        """The address of a release's file, or of its archive."""
        archive = self.archive if self.is_archive(version) else None
        return filled(archive.url if archive else self.url, version, architecture)


class UpstreamImage(_Origin):
    """A container image whose tag is the version, pinned by its digest."""

    kind: Literal["image"]
    image: Annotated[str, StringConstraints(pattern=NAME)]


class UpstreamRepository(_Origin):
    """Packages of a signed apt repository, pinned by the SHA-256 of its key."""

    kind: Literal["apt"]
    key: Annotated[str, StringConstraints(pattern=URL)]
    repository: Annotated[str, StringConstraints(pattern=REPOSITORY)]
    packages: Packages


FromPackages = GoModule | Wheel | DebianPackage | CProgram
FromUpstream = UpstreamFile | UpstreamImage | UpstreamRepository | DebianPackage | CProgram
Origin = FromPackages | FromUpstream


class Definition(Strict):
    """A component.yaml; the licence is an SPDX expression for the component's files.

    `replaces` is the reason why a project replaces the checkout's component of this name.
    """

    argument: Annotated[str, StringConstraints(pattern=ARGUMENT)]
    packages: Annotated[FromPackages, Field(discriminator="kind")]
    upstream: Annotated[FromUpstream, Field(discriminator="kind")]
    licence: Annotated[str, StringConstraints(pattern=LICENCE)]
    replaces: Reason | None = None

    def origin(self, source: Source) -> Origin:
        """The origin of the component in a source."""
        return self.packages if source == "packages" else self.upstream

    def template(self, name: str, source: Source) -> str:
        """The template of the component for a source, below images/."""
        if isinstance(self.origin(source), DebianPackage):
            return f"base/debian.{source}.j2"
        if isinstance(self.origin(source), CProgram):
            return "base/c.j2"
        return f"components/{name}/{source}.j2"

    @property
    def label(self) -> str:
        """The image label that holds the component's version."""
        return f"worker.{self.argument.lower().replace('_', '-')}"


def filled(url: str, version: str, architecture: Architecture) -> str:
    """An address of component.yaml for a version and an architecture."""
    for name, value in {
        "{version}": version,
        "{arch}": architecture,
        "{machine}": MACHINES[architecture],
    }.items():
        url = url.replace(name, value)
    return url


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall("[0-9]+", version)))
