"""expect.yaml: what a component or a variant must hold and what betrays it, written by hand."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from imagebuild.document import read
from imagebuild.pins import ARGUMENT
from imagebuild.schema import Strict, validated

PATH = r"^/[^\x00-\x20]*$"
MODE = r"^[0-7]{4}$"
MEGABYTES = r"^[0-9]{1,4}(\.[0-9])?$"
RELEASE = r"^[0-9]{8}\.[0-9]+$"
HINTS = {
    PATH: "an absolute path",
    MODE: "four octal digits, such as 0755",
    MEGABYTES: "megabytes (10^6 bytes), such as 48",
    RELEASE: "a gVisor release, such as 20230529.0",
    ARGUMENT: "a variable's name",
}

Path_ = Annotated[str, StringConstraints(pattern=PATH)]
Release = Annotated[str, StringConstraints(pattern=RELEASE)]
Traces = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


class ComponentExpectation(Strict):
    """A component's files with their modes, and the path patterns that betray it anywhere in an image."""

    files: dict[Path_, Annotated[str, StringConstraints(pattern=MODE)]]
    traces: Traces


class VariantExpectation(Strict):
    """A variant's size budget and its whole environment."""

    megabytes: Annotated[str, StringConstraints(pattern=MEGABYTES)]
    environment: dict[str, str]


def component(root: Path, name: str) -> ComponentExpectation:
    """Read images/components/NAME/expect.yaml; raises DocumentError."""
    path = root / "images" / "components" / name / "expect.yaml"
    return validated(read(path, str(path.relative_to(root))), ComponentExpectation, HINTS)


def variant(root: Path, name: str) -> VariantExpectation:
    """Read images/NAME/expect.yaml; raises DocumentError."""
    path = root / "images" / name / "expect.yaml"
    return validated(read(path, str(path.relative_to(root))), VariantExpectation, HINTS)
