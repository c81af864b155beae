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

# Why the floating tag does not name a release that no commit describes.
CHANGED = "the release has changes that are not committed"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Floating:
    """A floating tag, the index that it names, and the version of that release.

    The version is empty if the tag names something else than a release.
    """

    tag: str
    digest: str | None
    version: str = ""

    @property
    def text(self) -> str:
        """The tag and what it names."""
        names = f"names {shown(self.version) or self.digest}" if self.digest else "is not set"
        return f"{self.tag} {names}"

    def kept(self, draft: Draft, *, keep: bool = False, released: bool = False) -> str:
        """Why the release of a draft does not move the tag; empty if it does, or has moved it.

        `released` is whether the version's tag named the draft before.
        """
        if self.digest == draft.digest:
            return ""
        if not commit_of(draft.annotations[REVISION]):
            return CHANGED
        if keep:
            return "--keep-floating"
        if released:
            return "the version was released before"
        return _order(self.version, draft.annotations[VERSION]) if self.digest else ""


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


def _order(version: str, other: str) -> str:
    """Why a version must not follow another one; empty if it is newer, or the same.

    The same version has another digest if its release was interrupted.
    """
    try:
        return "" if Version(version) <= Version(other) else f"{shown(version)} is newer"
    except InvalidVersion:
        return f"{shown(version) or 'this release'} and {other} have no order"
