"""images/components/NAME/component.yaml: how each source provides a component."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from worker_images.model.pins import (
    ARGUMENT,
    MODULE,
    WHEEL,
    DebianName,
    Source,
)
from worker_images.model.schema import Strict, pattern

Architecture = Literal["amd64", "arm64"]
LACK = pattern(r"^[0-9A-Za-z][ -~]{0,199}$", "one line of plain words")
URL = pattern(r"^https://[0-9A-Za-z./_{}-]+$", "an https address; {version} is the pinned version")
REPOSITORY = pattern(
    r"^https://[0-9A-Za-z./_-]+ [0-9A-Za-z./_ -]+$", "an address, suite, components"
)
NAME = pattern(r"^[a-z0-9][a-z0-9._/-]*$", "an image name without a tag")

Text = Annotated[tuple[Annotated[str, StringConstraints(pattern=LACK)], ...], Field(strict=False)]
Packages = Annotated[tuple[DebianName, ...], Field(strict=False)]
Commands = Annotated[
    tuple[Annotated[str, StringConstraints(pattern=MODULE)], ...],
    Field(strict=False, min_length=1),
]
Architectures = Annotated[tuple[Architecture, ...], Field(strict=False, min_length=1)]


class _Origin(Strict):
    """What every origin may say: its architectures, and what this source lacks."""

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
    """A Debian package, with the packages that it depends on."""

    kind: Literal["debian"]
    package: DebianName


class UpstreamFile(_Origin):
    """One file, by its SHA-256 or SHA-512."""

    kind: Literal["file"]
    url: Annotated[str, StringConstraints(pattern=URL)]


class UpstreamImage(_Origin):
    """A container image, tagged with the version, by digest."""

    kind: Literal["image"]
    image: Annotated[str, StringConstraints(pattern=NAME)]


class UpstreamRepository(_Origin):
    """Packages of a signed apt repository; the SHA-256 is its key's."""

    kind: Literal["apt"]
    key: Annotated[str, StringConstraints(pattern=URL)]
    repository: Annotated[str, StringConstraints(pattern=REPOSITORY)]
    packages: Packages


FromPackages = GoModule | Wheel | DebianPackage
FromUpstream = UpstreamFile | UpstreamImage | UpstreamRepository | DebianPackage
Origin = FromPackages | FromUpstream


class Definition(Strict):
    """The whole of a component.yaml."""

    argument: Annotated[str, StringConstraints(pattern=ARGUMENT)]
    packages: Annotated[FromPackages, Field(discriminator="kind")]
    upstream: Annotated[FromUpstream, Field(discriminator="kind")]

    def origin(self, source: Source) -> Origin:
        """Where a source takes the component from."""
        return self.packages if source == "packages" else self.upstream

    def template(self, name: str, source: Source) -> str:
        """The file below images/ that renders the component, named NAME, from a source."""
        if isinstance(self.origin(source), DebianPackage):
            return f"base/debian.{source}.j2"
        return f"components/{name}/{source}.j2"

    @property
    def label(self) -> str:
        """The image label that names the component's version."""
        return f"worker.{self.argument.lower().replace('_', '-')}"
