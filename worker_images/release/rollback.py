"""Rollback: floating tags name an earlier release again. Tags of versions never move."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from worker_images.errors import PolicyError, RegistryError
from worker_images.release import floating, verify
from worker_images.release.cosign import Verifier
from worker_images.release.registry import Repository

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Moved:
    """A floating tag, and the digests that it named before and names now.

    `before` is None if the tag was not set.
    """

    repository: str
    variant: str
    version: str
    tag: str
    before: str | None
    after: str

    @property
    def text(self) -> str:
        """The move for people."""
        before = f", before: {self.before or 'not set'}"
        return f"{self.tag:9} {self.after}{' (unchanged)' if self.before == self.after else before}"


def rollback(
    target: Repository,
    version: str,
    variants: Sequence[str],
    verifier: Verifier,
    required: Sequence[str],
    progress: Progress,
    *,
    allow_dirty: bool = False,
) -> tuple[Moved, ...]:
    """Let the floating tag of each variant name a released version that verifies.

    Every variant is checked before a tag moves. Raises RegistryError or PolicyError.
    """
    _check_present(target, version, variants)
    found = {
        variant: verify.verify(
            target,
            f":{version}-{variant}",
            verifier,
            required,
            progress,
            allow_dirty=allow_dirty,
        )
        for variant in variants
    }
    return tuple(
        Moved(
            target.name,
            variant,
            version,
            variant,
            _move(target, variant, checked.digest, progress),
            checked.digest,
        )
        for variant, checked in found.items()
    )


def _check_present(target: Repository, version: str, variants: Sequence[str]) -> None:
    """Raise RegistryError if some of the variants have no such version."""
    present = [each for each in variants if target.resolve(f":{version}-{each}")]
    if missing := [each for each in variants if each not in present]:
        fix = f"add --variant {present[0]}" if present else "check the version and the repository"
        raise RegistryError(f"{target.shown(f':{version}-{missing[0]}')}: not found; {fix}")


def _move(target: Repository, tag: str, digest: str, progress: Progress) -> str | None:
    """Let a tag name a manifest; return what it named before."""
    before = target.resolve(f":{tag}")
    if before != digest:
        floating.move(target, tag, digest, progress)
    after = target.resolve(f":{tag}")
    if after != digest:
        raise PolicyError(f"{target.shown(f':{tag}')} is {after}, not {digest}; run again")
    return before
