"""The folders of tests/mutation, as values."""

from typing import Annotated

from pydantic import Field

from worker_images.files import ROOT
from worker_images.model.document import read
from worker_images.model.schema import Strict, validate


class PackageFile(Strict):
    """One file of a Debian package: of the pinned one, or of the suite's where nothing is
    pinned.
    """

    name: str
    file: str
    version: str = ""
    url: str = ""
    size: str = "0"
    sha256: str = ""


class Mutant(Strict):
    """What is wrong with which image, and the checks that must say so: none for a control, which
    must pass.
    """

    defect: str
    variant: str
    mode: str = "built"
    caught_by: Annotated[tuple[str, ...], Field(strict=False)]
    package: PackageFile | None = None
    # The release whose runsc it holds: what that serves must be the table's row.
    release: str = ""


MUTANTS = {
    path.parent.name: validate(read(path), Mutant)
    for path in sorted((ROOT / "tests/mutation").glob("*/mutant.yaml"))
}
