"""versions.yaml: all pins, as frozen values."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from worker_images.model.document import Document, read
from worker_images.model.schema import Strict, pattern, validate

NAME = pattern(r"^[a-z][a-z0-9-]{0,39}$", "must be a name of a-z, 0-9 and -")
ARGUMENT = pattern(r"^[A-Z][A-Z0-9_]{0,39}$", "must be a build argument of A-Z, 0-9 and _")
VERSION = pattern(
    r"^[0-9][0-9A-Za-z.+-]{0,63}$",
    "must be a version of digits, letters, '.', '+' and '-', such as 20260622.0",
)
MODULE = pattern(
    r"^[a-z0-9][a-z0-9.-]*\.[a-z]{2,}(/[0-9A-Za-z._-]+)+$",
    "must be a Go module path, such as gvisor.dev/gvisor",
)
MODULE_VERSION = r"^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+incompatible)?$"
GO_VERSION = pattern(MODULE_VERSION, "must be a version of a Go module, such as v1.5.2")
EITHER_VERSION = pattern(f"{MODULE_VERSION}|{VERSION}", "must be a version, such as v1.5.2")
WHEEL = pattern(r"^[a-z0-9][a-z0-9-]{0,63}$", "must be a normalized PyPI project name")
PACKAGE = pattern(r"^[a-z0-9][a-z0-9+.-]{1,63}$", "must be a Debian package name")
SHA256 = pattern(r"^[0-9a-f]{64}$", "must be 64 lower-case hexadecimal digits")
SHA512 = pattern(r"^[0-9a-f]{128}$", "must be 128 lower-case hexadecimal digits")
DIGEST = pattern(r"^sha256:[0-9a-f]{64}$", "must be sha256: and 64 lower-case hexadecimal digits")
IMAGE = pattern(
    r"^[a-z0-9][a-z0-9._/-]*:[0-9A-Za-z_][0-9A-Za-z._-]{0,127}$",
    "must be an image name with a tag and without a digest",
)
DRIVER = pattern(
    r"^[0-9]{3}\.[0-9]{2,3}\.[0-9]{2}$", "must be a driver version, such as 580.159.04"
)
REASON = pattern(r"^[^ ].{0,199}$", "must be one line of text")
TOOLCHAIN = pattern(r"^1\.[0-9]{2}\.[0-9]{1,2}$", "must be a Go release, such as 1.26.11")
ZIG = pattern(r"^0\.[0-9]{1,3}\.[0-9]{1,3}$", "must be a release of Zig, such as 0.15.2")
EPOCH = pattern(r"^[1-9][0-9]{8,9}$", "must be seconds since 1970, such as 1782950400")
MIRROR = pattern(
    r"^https?://[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[0-9A-Za-z_-][0-9A-Za-z._-]*)*$",
    "must be an http or https URL without a user, query or trailing slash",
)
PLACE = pattern(
    r"^(https?://)?[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[0-9A-Za-z_-][0-9A-Za-z._-]*)*$",
    "must be an http or https URL, or a registry such as docker.io, without a user, query or"
    " trailing slash",
)


def _not_zero(value: str) -> str:
    if not value.removeprefix("sha256:").strip("0"):
        raise ValueError("an all-zero digest matches no file")
    return value


def _not_latest(value: str) -> str:
    if value.endswith(":latest"):
        raise ValueError("the tag latest is not a fixed version")
    return value


def unique(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values; raises ValueError for one that occurs twice."""
    if len(set(values)) < len(values):
        raise ValueError("duplicate entry")
    return values


Name = Annotated[str, StringConstraints(pattern=NAME)]
DebianName = Annotated[str, StringConstraints(pattern=PACKAGE)]
Version = Annotated[str, StringConstraints(pattern=VERSION)]
Sha256 = Annotated[str, StringConstraints(pattern=SHA256), AfterValidator(_not_zero)]
Sha512 = Annotated[str, StringConstraints(pattern=SHA512), AfterValidator(_not_zero)]
Digest = Annotated[str, StringConstraints(pattern=DIGEST), AfterValidator(_not_zero)]
Image = Annotated[str, StringConstraints(pattern=IMAGE), AfterValidator(_not_latest)]
Driver = Annotated[str, StringConstraints(pattern=DRIVER)]
Mirror = Annotated[str, StringConstraints(pattern=MIRROR)]
Place = Annotated[str, StringConstraints(pattern=PLACE)]
Reason = Annotated[str, StringConstraints(pattern=REASON)]
Source = Literal["packages", "upstream"]


class Fork(Strict):
    """A Go module that replaces a component's own; its go.mod keeps the path of the original."""

    module: Annotated[str, StringConstraints(pattern=MODULE)]
    version: Annotated[str, StringConstraints(pattern=GO_VERSION)]


class PackagesPin(Strict):
    """The version in the package registry, and the version that the program reports.

    Each is set only where it differs from the release. `replace` is a fork of a Go module.
    """

    version: Annotated[str, StringConstraints(pattern=EITHER_VERSION)] | None = None
    describe: Version | None = None
    replace: Fork | None = None


class FilePin(Strict):
    """The digest of a published file."""

    sha256: Sha256 | None = None
    sha512: Sha512 | None = None

    @property
    def text(self) -> str:
        """The digest with its algorithm; empty without one."""
        return f"sha512:{self.sha512}" if self.sha512 else f"sha256:{self.sha256 or ''}"


class UpstreamPin(FilePin):
    """The digest of the published file or image; component.yaml has its address.

    A file of another architecture has a digest of its own; an image has one for all.
    """

    digest: Digest | None = None
    arm64: FilePin | None = None

    def of_file(self, architecture: str) -> FilePin | None:
        """The digest of the file for an architecture; None if it is not pinned."""
        return self if architecture == "amd64" else self.arm64

    @model_validator(mode="after")
    def _has_one_digest(self) -> Self:
        if sum(value is not None for value in (self.sha256, self.sha512, self.digest)) != 1:
            raise ValueError("needs exactly one of sha256, sha512 and digest")
        return self


class ComponentPin(Strict):
    """A component: its release, and its version or digest in each source.

    `instead_of` is the checkout's version, which the pin of a project replaces.
    """

    version: Version
    instead_of: Version | None = None
    packages: PackagesPin = PackagesPin()
    upstream: UpstreamPin | None = None

    def reported_version(self, source: Source) -> str:
        """The version that the program reports."""
        described = self.packages.describe if source == "packages" else None
        return described or self.version


class DebianPin(Strict):
    """The base distribution, for every variant and both sources."""

    suite: Name
    mirror: Mirror
    security: Mirror
    snapshot: Mirror
    image: Image
    digest: Digest


class GoPin(Strict):
    """The Go release that compiles components."""

    toolchain: Annotated[str, StringConstraints(pattern=TOOLCHAIN)]


class ZigPin(Strict):
    """The release of Zig, the C compiler of components that are programs of our own."""

    toolchain: Annotated[str, StringConstraints(pattern=ZIG)]


class Unserved(Strict):
    """A driver of the fleet that the images need not serve, and the reason."""

    driver: Driver
    reason: Reason


def _of_one_kind(mirrors: dict[str, str]) -> dict[str, str]:
    for start, mirror in mirrors.items():
        if ("://" in start) != ("://" in mirror):
            raise ValueError(
                f"{start} and {mirror} must both be URLs, or both be registries without https://"
            )
    return mirrors


class Fleet(Strict):
    """The NVIDIA drivers that every image must serve, and the exceptions."""

    drivers: Annotated[
        tuple[Driver, ...], Field(min_length=1, strict=False), AfterValidator(unique)
    ]
    allow_unserved: Annotated[tuple[Unserved, ...], Field(strict=False)] = ()


def mirrored(address: str, mirrors: Mapping[str, str]) -> str:
    """The address with its longest start in `mirrors` replaced."""
    for start in sorted(mirrors, key=len, reverse=True):
        if address == start or address.startswith(f"{start}/"):
            return mirrors[start] + address.removeprefix(start)
    return address


class Pins(Strict):
    """A versions.yaml."""

    source: Source
    file_time: Annotated[str, StringConstraints(pattern=EPOCH)]
    debian: DebianPin
    go: GoPin
    zig: ZigPin
    components: dict[Name, ComponentPin]
    fleet: Fleet
    # Starts of addresses of source upstream, and what replaces them on this site.
    mirrors: Annotated[
        dict[Place, Place], Field(default_factory=dict), AfterValidator(_of_one_kind)
    ]


def load(path: Path, name: str | None = None) -> tuple[Pins, Document]:
    """Read pins, and the document that holds them; raises DocumentError with every fault."""
    return of(read(path, name))


def of(document: Document) -> tuple[Pins, Document]:
    """The pins of a document, and the document; raises DocumentError with every fault."""
    return validate(document, Pins), document


def json_schema() -> str:
    """The JSON schema for editors, as text."""
    return json.dumps(Pins.model_json_schema(), indent=2, sort_keys=True) + "\n"
