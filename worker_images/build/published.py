"""What projects publish, pinned by digest: the inputs of source upstream."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worker_images.build import requirements
from worker_images.model.component import Architecture, UpstreamFile
from worker_images.model.project import Project


@dataclass(frozen=True)
class Image:
    """An image that BuildKit pulls by digest."""

    owner: str
    name: str
    digest: str
    place: str = ""


@dataclass(frozen=True)
class File:
    """A file that a project publishes, by its address.

    `redirects` are the hosts to which its host may redirect.
    """

    owner: str
    name: str
    digest: str
    redirects: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Path of the file."""
        return f"downloads/{self.owner}/{self.name.rpartition('/')[2]}"


def of_components(
    project: Project, components: Sequence[str], architecture: Architecture
) -> Iterator[Image | File]:
    """Yield the image of the base, and what components have for an architecture."""
    for owner, each in requirements.pinned(project, components, architecture):
        if "://" not in each.address:
            yield Image(owner, each.address, each.digest)
            continue
        origin = project.catalog.components[owner].upstream
        redirects = origin.redirects if isinstance(origin, UpstreamFile) else ()
        yield File(owner, each.address, each.digest, redirects)


def files(project: Project, name: str, architecture: Architecture) -> tuple[File, ...]:
    """Return the published file of a component; empty if it has none, or no pin for it."""
    found = of_components(project, [name], architecture)
    return tuple(each for each in found if isinstance(each, File))
