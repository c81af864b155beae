"""Publish drafts: push by digest, read back, sign, check, and only then move tags."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images import files
from worker_images.errors import PolicyError, RegistryError
from worker_images.fetch.apt import sha256
from worker_images.release import attest, floating, layout, verify
from worker_images.release.cosign import Signer, Statement, Verifier
from worker_images.release.drafts import Draft
from worker_images.release.examine import Verified
from worker_images.release.floating import Floating
from worker_images.release.layout import INDEX, Layout
from worker_images.release.registry import Repository

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Publisher:
    """Where drafts go and who signs them. `folder` holds a layout of each variant.

    `keep_floating` leaves floating tags where they are. `settle` is the pause, in seconds, between
    moving tags and reading them again. `allow_dirty` accepts a revision that is not a commit.
    """

    target: Repository
    signer: Signer
    verifier: Verifier
    required: tuple[str, ...]
    folder: Path
    progress: Progress
    keep_floating: bool = False
    settle: float = 2.0
    allow_dirty: bool = False

    def state(self, draft: Draft) -> Verified | None:
        """What the registry has of a draft; None if it has nothing.

        Raises PolicyError if the version's tag names something else.
        """
        held = self.held(draft)
        if held not in {None, draft.digest}:
            raise PolicyError(
                f"{self.target.shown(f':{draft.tag}')} is {held}, this release is {draft.digest};"
                " a version never changes: release under another --version"
            )
        if self.target.resolve(f"@{draft.digest}") is None:
            return None
        return self.inspect(draft)

    def inspect(self, draft: Draft) -> Verified:
        """Check what the registry has of a draft."""
        return verify.inspect(
            self.target,
            f"@{draft.digest}",
            self.verifier,
            self.required,
            self.progress,
            allow_dirty=self.allow_dirty,
        )

    def publish(self, draft: Draft, lacking: Sequence[Statement]) -> Verified:
        """Push a draft and read it back, then sign and attach statements; move no tag.

        Raises RegistryError or PolicyError.
        """
        local = compose(draft, self.folder / draft.variant)
        self.push(local, draft)
        self.read_back(local, draft)
        if lacking:
            local = attest.attach(local, draft, lacking, self.signer, self.progress)
            self.push_attestations(local, draft)
        found = self.inspect(draft)
        if found.faults:
            raise PolicyError(
                "\n".join([f"{found.name} does not verify; no tag was moved:", *found.faults])
            )
        return found

    def push(self, local: Layout, draft: Draft) -> None:
        """Copy a draft's images to the registry by digest."""
        self.progress(f"pushing {draft.size / 1e6:.1f} MB of {draft.tag} to {self.target.name}")
        source = layout.repository(self.target.tools, local)
        source.copy_to(self.target, draft.digest, _layers(self.progress))

    def push_attestations(self, local: Layout, draft: Draft) -> None:
        """Copy the attestations of a draft to the registry."""
        self.progress(f"pushing the attestations of {draft.tag} to {self.target.name}")
        source = layout.repository(self.target.tools, local)
        for entry in local.entries:
            if entry["digest"] != draft.digest:
                source.copy_to(self.target, entry["digest"], _ignored)

    def read_back(self, local: Layout, draft: Draft) -> None:
        """Compare every blob in the registry with the tested one; raises PolicyError."""
        self.progress(f"reading {draft.tag} back")
        with tempfile.TemporaryDirectory(dir=files.scratch(), prefix="part-") as scratch:
            pulled = layout.create(Path(scratch, "layout"))
            copy = layout.repository(self.target.tools, pulled)
            self.target.copy_to(copy, draft.digest, _ignored)
            wanted, got = _digests(local), _digests(pulled)
        if wanted != got:
            differing = sorted(name for name in wanted if got.get(name) != wanted[name])
            raise PolicyError(
                f"{self.target.shown(f'@{draft.digest}')}: the registry has other bytes than were"
                f" tested: {', '.join(differing)}; no tag was moved"
            )

    def tag(self, draft: Draft) -> None:
        """Let the floating tag, unless it stays, then the version's tag name a draft.

        The version's tag is last: when it exists, the release is complete. Raises PolicyError if
        another release took the version meanwhile.
        """
        self.refuse_other(draft)
        for tag in (*(() if self.kept(draft) else (draft.variant,)), draft.tag):
            if self.held(draft) in {None, draft.digest}:
                floating.move(self.target, tag, draft.digest, self.progress)
        # Registries replace a tag without a condition. A release that found the version free a
        # moment ago has tagged it by the end of this pause, and the last one keeps it.
        time.sleep(self.settle)
        held = self.held(draft)
        if held is None:
            raise RegistryError(
                f"{self.target.shown(f':{draft.tag}')}: the registry accepted this tag and does not"
                " have it; see its log, then run again"
            )
        named = self.floating(draft)
        if named.digest != held and not named.kept(draft, keep=self.keep_floating):
            floating.move(self.target, draft.variant, held, self.progress)
        self.refuse_other(draft)

    def floating(self, draft: Draft) -> Floating:
        """What the variant's floating tag names."""
        return floating.find(self.target, draft.variant)

    def kept(self, draft: Draft) -> str:
        """Why the floating tag does not move; empty if it moves, or names the draft."""
        return self.floating(draft).kept(draft, keep=self.keep_floating)

    def held(self, draft: Draft) -> str | None:
        """What the version's tag names."""
        return self.target.resolve(f":{draft.tag}")

    def refuse_other(self, draft: Draft) -> None:
        """Check that no other release has the version's tag; raises PolicyError."""
        held = self.held(draft)
        if held not in {None, draft.digest}:
            raise PolicyError(
                f"another release took {self.target.shown(f':{draft.tag}')}: it is {held}, this one"
                f" is {draft.digest}"
            )


def compose(draft: Draft, folder: Path) -> Layout:
    """Write the layout of a draft: the archives' blobs and the index; raises ImageError."""
    local = layout.create(folder)
    for part in draft.parts:
        layout.add_archive(local, part.candidate.archive)
    index = local.add(INDEX, draft.index)
    return local.with_entries(index | {"annotations": {layout.NAME: draft.tag}})


def _digests(found: Layout) -> Mapping[str, str]:
    """The digest of each blob's bytes by the name that the layout gives it."""
    return {name: sha256(found.path(name)) for name in found.blobs()}


def _layers(progress: Progress) -> Progress:
    """Report each layer that was sent or found; other blobs are small."""

    def each(line: str) -> None:
        state, _, what = line.partition(" ")
        if "layer" in what and state in {"Copied", "Exists", "Mounted", "Skipped"}:
            progress(f"{state.lower()} {what.strip()}")

    return each


def _ignored(_: str) -> None:
    """Report nothing."""
