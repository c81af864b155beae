"""Check a release: index, images, signatures and attestations, all against the bytes."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from worker_images import files
from worker_images.errors import PolicyError
from worker_images.release import layout, tree
from worker_images.release.cosign import BUNDLE, Verifier
from worker_images.release.examine import VARIANT, VERSION, Verified, examine, revision_faults
from worker_images.release.folder import Folder
from worker_images.release.layout import Layout
from worker_images.release.names import LAYOUT
from worker_images.release.registry import Repository
from worker_images.release.remote import Remote
from worker_images.untrusted import listed, shown

Progress = Callable[[str], None]

PUBLISH_AGAIN = "; its publisher can also run the same release command again"


def verify(
    source: Repository,
    reference: str,
    verifier: Verifier,
    required: Sequence[str],
    progress: Progress,
    *,
    allow_dirty: bool = False,
) -> Verified:
    """Check what a reference names and return it.

    Raises RegistryError, and PolicyError with every fault.
    """
    found = inspect(source, reference, verifier, required, progress, allow_dirty=allow_dirty)
    if found.faults:
        raise PolicyError(refusal(found))
    return found


def refusal(found: Verified) -> str:
    """The message about a release with faults."""
    advice = ""
    if found.lacks_statements:
        publish = "" if found.name.startswith(LAYOUT) else PUBLISH_AGAIN
        advice = f"attestations are missing: copy a release with `oras cp --recursive`{publish}\n"
    return f"{found.name} does not verify:\n{listed(found.faults)}\n{advice}do not use this image"


def inspect(
    source: Repository,
    reference: str,
    verifier: Verifier,
    required: Sequence[str],
    progress: Progress,
    *,
    allow_dirty: bool = False,
) -> Verified:
    """Check what a reference names and return it with its faults; raises RegistryError.

    The revision of a release must be a commit, unless `allow_dirty` is set.
    """
    place = Folder(Path(source.name)) if source.is_layout else Remote(source)
    name = place.shown(reference)
    try:
        digest = place.resolve(reference)
    except PolicyError as error:
        return Verified(name, "", {}, (), (), (str(error),))
    with tempfile.TemporaryDirectory(dir=files.scratch(), prefix="part-") as scratch:
        pulled = layout.create(Path(scratch, "layout"))
        progress(f"reading {name}")
        index = tree.walk(place.manifest, digest, tree.IMAGES)
        if fault := _other_kind(index):
            return Verified(name, digest, {}, (), (), (fault,))
        faults = [*index.faults, *place.copy(index, pulled)]
        held, lost = _attestations(place, digest, pulled)
        if faults:
            return Verified(name, digest, {}, (), (), (*faults, *lost))
        found = examine(pulled, name, digest, held, verifier, required)
    faults = [*lost, *_mistagged(source, reference, found)]
    faults += revision_faults(found.annotations, allow_dirty=allow_dirty)
    return replace(found, faults=(*faults, *found.faults))


def _other_kind(found: tree.Tree) -> str:
    """Why a manifest that is readable is not the index of a release."""
    data = found.manifests.get(found.root)
    kind = data and layout.parse(data, found.root).get("mediaType")
    if data is None or kind == layout.INDEX:
        return ""
    return (
        f"not an image index but {shown(str(kind))}; name a tag of the release, or the digest in"
        ' the line "index"'
    )


def _mistagged(source: Repository, reference: str, found: Verified) -> list[str]:
    """Why a tag must not name this release: whoever can push may move a tag."""
    variant, version = found.annotations.get(VARIANT, ""), found.annotations.get(VERSION, "")
    if reference.startswith("@") or reference in {f":{variant}", f":{version}-{variant}"}:
        return []
    entry = f"entry {reference[1:]} of index.json" if source.is_layout else f"tag {reference[1:]}"
    fault = (
        f"the {entry} names the release {shown(version)} of {shown(variant)}; to verify that"
        " release under another name, use its digest"
    )
    return [fault]


def _attestations(
    place: Folder | Remote, digest: str, pulled: Layout
) -> tuple[list[str], list[str]]:
    """Copy the bundles that are attached to a manifest; return their manifests, and faults."""
    held = list[str]()
    try:
        found, faults = place.referrers(digest)
    except PolicyError as error:
        return held, [str(error)]
    for each in found:
        attached = tree.walk(place.manifest, each, tree.BUNDLE, digest)
        if _is_other(attached):
            continue
        lost = [*attached.faults, *place.copy(attached, pulled)]
        faults += lost
        held += [] if lost else [each]
    return held, faults


def _is_other(attached: tree.Tree) -> bool:
    """Whether this is no bundle, such as what a scanner attaches; of any size, it is not read."""
    data = attached.manifests.get(attached.root)
    return data is not None and layout.parse(data, attached.root).get("artifactType") != BUNDLE
