"""Where a project's files lie: in its own folder, and else in the checkout that it stands on."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from worker_images.errors import UsageError
from worker_images.files import ROOT

# Only a checkout has it.
BASE = "images/base"
COMPONENTS = "images/components"
VERSIONS = "versions.yaml"


@dataclass(frozen=True)
class Tree:
    """The folder of a project, and the checkout below it.

    A project has pins and no base of images. Other folders stand alone: checkouts and GPU kits.
    """

    root: Path

    @property
    def stands_alone(self) -> bool:
        """Whether nothing is below it."""
        return self.root == ROOT or (self.root / BASE).is_dir() or not self._has_pins

    @property
    def _has_pins(self) -> bool:
        return (self.root / VERSIONS).is_file()

    @property
    def checkout(self) -> Path:
        """The checkout, which has the base, the tests and this program."""
        return self.root if self.stands_alone else ROOT

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that are searched, in this order."""
        return (self.root,) if self.stands_alone else (self.root, self.checkout)

    def find(self, place: Path | str) -> Path:
        """The file or folder of a relative path: the checkout's, unless the project has its own."""
        own, below = self.root / place, self.checkout / place
        return below if below.exists() and not own.exists() else own

    def component(self, name: str) -> Path:
        """The folder that describes a component."""
        return self.find(f"{COMPONENTS}/{name}/component.yaml").parent

    def part(self, component: str, name: str) -> Path:
        """A file or folder of a component, which a project may add to one of the checkout."""
        folder, place = self.component(component), Path(COMPONENTS) / component
        return folder / name if folder == self.root / place else self.find(place / name)

    def glob(self, pattern: str) -> Iterator[Path]:
        """The files of all folders that match a pattern, without the checkout's replaced ones."""
        found = {
            path.relative_to(folder): path
            for folder in reversed(self.folders)
            for path in sorted(folder.glob(pattern))
        }
        yield from (found[name] for name in sorted(found))

    def name(self, path: Path) -> str:
        """A path as messages show it: relative to the checkout, or whole if it lies elsewhere."""
        checkout = self.checkout
        return str(path.relative_to(checkout) if path.is_relative_to(checkout) else path)


def of_option(folder: Path) -> Path:
    """The folder that --project names; raises UsageError if it holds no project."""
    root = folder.resolve()
    if not (root / VERSIONS).is_file():
        raise UsageError(f"--project {folder}: no {VERSIONS} there; docs/projects.md shows one")
    if root != ROOT and Tree(root).stands_alone:
        command = shlex.quote(str(root / "build.py"))
        raise UsageError(f"--project {folder}: a checkout of its own; run there: {command}")
    return root
