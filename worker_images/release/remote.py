"""A release in a registry, read within bounds."""

from collections.abc import Iterator
from dataclasses import dataclass

from worker_images.errors import PolicyError, RegistryError
from worker_images.release import layout
from worker_images.release.layout import Layout
from worker_images.release.names import DIGEST
from worker_images.release.registry import Repository
from worker_images.release.tree import MAX_REFERRERS, Tree
from worker_images.untrusted import shown


@dataclass(frozen=True)
class Remote:
    """A repository of a registry."""

    repository: Repository

    def shown(self, reference: str) -> str:
        """A reference, :TAG or @DIGEST, as users write it."""
        return self.repository.shown(reference)

    def resolve(self, reference: str) -> str:
        """The digest that a reference names; raises RegistryError."""
        digest = self.repository.resolve(reference)
        if digest is None:
            raise RegistryError(f"{self.shown(reference)}: not found; check the name and the tag")
        return digest

    def referrers(self, digest: str) -> tuple[list[str], list[str]]:
        """The manifests that are attached to a digest, and faults of the list."""
        every = dict.fromkeys(self.repository.referrers(digest))
        if len(every) > MAX_REFERRERS:
            return [], [f"it has {len(every)} referrers, more than {MAX_REFERRERS}"]
        found = [each for each in every if DIGEST.fullmatch(each)]
        others = every.keys() - set(found)
        return found, [f"referrer {shown(each)!r}: only sha256 is read" for each in sorted(others)]

    def manifest(self, digest: str) -> bytes:
        """The bytes of a manifest; raises PolicyError if there is none, and RegistryError."""
        try:
            return self.repository.manifest(digest)
        except RegistryError:
            if self.repository.resolve(f"@{digest}") is None:
                raise PolicyError(f"manifest {digest} is missing") from None
            raise

    def copy(self, found: Tree, pulled: Layout) -> list[str]:
        """Copy manifests and blobs; return what is wrong with blobs."""
        copied = not found.subject or pulled.path(found.subject).is_file()
        if found.faults or not copied:
            return [*self._lost(found)]
        target = layout.repository(self.repository.tools, pulled)
        try:
            self.repository.copy_to(target, found.root, lambda _: None)
        except PolicyError as error:
            return [*self._altered(found, pulled)] or [str(error)]
        except RegistryError:
            if lost := [*self._lost(found)]:
                return lost
            raise
        return []

    def _altered(self, found: Tree, pulled: Layout) -> Iterator[str]:
        """The blobs with other bytes, which oras does not name."""
        for each, size in found.blobs.items():
            if pulled.path(each).is_file():
                continue
            # A blob of another size is not read: it may be of any size.
            if (held := self.repository.blob_size(each)) is None:
                yield f"blob {each} is missing"
            elif held != size:
                yield f"blob {each} has {held} bytes instead of {size}"
            elif self.repository.altered(each):
                yield f"blob {each}: its bytes do not match its digest"

    def _lost(self, found: Tree) -> Iterator[str]:
        for each in found.blobs:
            if self.repository.blob_size(each) is None:
                yield f"blob {each} is missing"
