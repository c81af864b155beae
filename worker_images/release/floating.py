"""Floating tags, such as slim: whether a release moves one, and to where."""

from collections.abc import Callable
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from worker_images.errors import PolicyError
from worker_images.release import layout
from worker_images.release.drafts import Draft
from worker_images.release.examine import REVISION, VERSION, annotations_of
from worker_images.release.provenance import commit_of
from worker_images.release.registry import Repository
from worker_images.untrusted import shown

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Floating:
    """A floating tag, the index that it names, and the version of that release.

    The version is empty if the tag names something else than a release.
    """

    tag: str
    digest: str | None
    version: str = ""

    def stays(self, draft: Draft, *, keep: bool = False) -> str:
        """Why the tag does not name a draft after its release; empty if it does."""
        if self.digest == draft.digest:
            return ""
        at = f"stays at {shown(self.version) or self.digest}" if self.digest else "is not set"
        revision, version = draft.annotations[REVISION], draft.annotations[VERSION]
        if not commit_of(revision):
            return f"{self.tag} {at}: no commit has the sources of this release"
        if keep or (self.digest and not _is_older(self.version, version)):
            return f"{self.tag} {at}; ./build.py rollback --to {version} moves it"
        return ""


def find(target: Repository, tag: str) -> Floating:
    """Read what a floating tag names; raises RegistryError."""
    digest = target.resolve(f":{tag}")
    if digest is None:
        return Floating(tag, None)
    try:
        index = layout.parse(target.manifest(digest), digest)
    except PolicyError:
        return Floating(tag, digest)
    return Floating(tag, digest, annotations_of(index).get(VERSION, ""))


def move(target: Repository, tag: str, digest: str, progress: Progress) -> None:
    """Let a tag name a manifest."""
    progress(f"tagging {target.shown(f':{tag}')}")
    target.tag(digest, tag)


def _is_older(version: str, other: str) -> bool:
    """Whether a version is older than another one, or the same.

    The same version has another digest if its release was interrupted. Versions without an order
    are not older.
    """
    try:
        return Version(version) <= Version(other)
    except InvalidVersion:
        return False
