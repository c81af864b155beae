"""versions.yaml: every pin, as frozen values."""

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from worker_images.model.document import Document, read
from worker_images.model.schema import Strict, pattern, validate

NAME = pattern(r"^[a-z][a-z0-9-]{0,39}$", "a name is a-z, 0-9 and -")
ARGUMENT = pattern(r"^[A-Z][A-Z0-9_]{0,39}$", "a build argument is A-Z, 0-9 and _")
VERSION = pattern(
    r"^[0-9][0-9A-Za-z.+-]{0,63}$",
    "a version is digits, letters, '.', '+' and '-', such as 20260622.0",
)
MODULE = pattern(
    r"^[a-z0-9][a-z0-9.-]*\.[a-z]{2,}(/[0-9A-Za-z._-]+)+$",
    "a Go module path, such as gvisor.dev/gvisor",
)
MODULE_VERSION = r"^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+incompatible)?$"
EITHER_VERSION = pattern(f"{MODULE_VERSION}|{VERSION}", "a Go module version, such as v1.5.2")
WHEEL = pattern(r"^[a-z0-9][a-z0-9-]{0,63}$", "a PyPI project name in normal form")
PACKAGE = pattern(r"^[a-z0-9][a-z0-9+.-]{1,63}$", "a Debian package name")
SHA256 = pattern(r"^[0-9a-f]{64}$", "64 lower-case hexadecimal digits")
SHA512 = pattern(r"^[0-9a-f]{128}$", "128 lower-case hexadecimal digits")
DIGEST = pattern(r"^sha256:[0-9a-f]{64}$", "sha256: and 64 lower-case hexadecimal digits")
IMAGE = pattern(
    r"^[a-z0-9][a-z0-9._/-]*:[0-9A-Za-z_][0-9A-Za-z._-]{0,127}$",
    "an image name with a tag; the digest is a key of its own",
)
DRIVER = pattern(r"^[0-9]{3}\.[0-9]{2,3}\.[0-9]{2}$", "a driver version, such as 580.159.04")
REASON = pattern(r"^[^ ].{0,199}$", "a reason is one line of words")
TOOLCHAIN = pattern(r"^1\.[0-9]{2}\.[0-9]{1,2}$", "a Go release, such as 1.26.11")
EPOCH = pattern(r"^[1-9][0-9]{8,9}$", "seconds since 1970, such as 1782950400")
MIRROR = pattern(
    r"^https?://[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[0-9A-Za-z_-][0-9A-Za-z._-]*)*$",
    "an http or https address without user, port or path tricks",
)


def _not_zero(value: str) -> str:
    if not value.removeprefix("sha256:").strip("0"):
        raise ValueError("an all-zero digest matches nothing")
    return value


def _not_latest(value: str) -> str:
    if value.endswith(":latest"):
        raise ValueError("the tag latest moves")
    return value


def _unique(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise ValueError("an entry is written twice")
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
Source = Literal["packages", "upstream"]


class PackagesPin(Strict):
    """What a package registry calls the version, and what the program reports, where they differ
    from the release.
    """

    version: Annotated[str, StringConstraints(pattern=EITHER_VERSION)] | None = None
    describe: Version | None = None


class UpstreamPin(Strict):
    """The digest of what the project publishes; component.yaml has its address."""

    sha256: Sha256 | None = None
    sha512: Sha512 | None = None
    digest: Digest | None = None

    @model_validator(mode="after")
    def _has_one_digest(self) -> Self:
        if sum(value is not None for value in (self.sha256, self.sha512, self.digest)) != 1:
            raise ValueError("exactly one of sha256, sha512 and digest pins it")
        return self


class ComponentPin(Strict):
    """One component: its release, and how each source names or pins it."""

    version: Version
    packages: PackagesPin = PackagesPin()
    upstream: UpstreamPin | None = None

    def reported_version(self, source: Source) -> str:
        """The version that the program reports of itself."""
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
    """The Go release that compiles modules."""

    toolchain: Annotated[str, StringConstraints(pattern=TOOLCHAIN)]


class Unserved(Strict):
    """A driver of the fleet that the images need not serve, and why."""

    driver: Driver
    reason: Annotated[str, StringConstraints(pattern=REASON)]


class Fleet(Strict):
    """The NVIDIA drivers that every image must serve, but for those that are allowed not to be."""

    drivers: Annotated[
        tuple[Driver, ...], Field(min_length=1, strict=False), AfterValidator(_unique)
    ]
    allow_unserved: Annotated[tuple[Unserved, ...], Field(strict=False)] = ()


class Pins(Strict):
    """The whole of versions.yaml."""

    source: Source
    source_date_epoch: Annotated[str, StringConstraints(pattern=EPOCH)]
    debian: DebianPin
    go: GoPin
    components: dict[Name, ComponentPin]
    fleet: Fleet


def load(path: Path, name: str | None = None) -> tuple[Pins, Document]:
    """Read pins and the document they came from; raises DocumentError with every fault."""
    document = read(path, name)
    return validate(document, Pins), document


def json_schema() -> str:
    """The schema that editors read, as text."""
    return json.dumps(Pins.model_json_schema(), indent=2, sort_keys=True) + "\n"
