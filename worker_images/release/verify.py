"""Check a release: index, images, signatures and attestations, all against the bytes."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from worker_images import files
from worker_images.errors import PolicyError, RegistryError
from worker_images.release import layout
from worker_images.release.cosign import Verifier
from worker_images.release.examine import VARIANT, VERSION, Verified, examine
from worker_images.release.layout import Layout
from worker_images.release.registry import Repository
from worker_images.untrusted import listed, shown

Progress = Callable[[str], None]


def verify(
    source: Repository,
    reference: str,
    verifier: Verifier,
    required: Sequence[str],
    progress: Progress,
) -> Verified:
    """Check what a reference names and return it.

    Raises RegistryError, and PolicyError with every fault.
    """
    found = inspect(source, reference, verifier, required, progress)
    if found.faults:
        faults = listed(found.faults)
        raise PolicyError(f"{found.name} does not verify:\n{faults}\ndo not use this image")
    return found


def inspect(
    source: Repository,
    reference: str,
    verifier: Verifier,
    required: Sequence[str],
    progress: Progress,
) -> Verified:
    """Check what a reference names and return it with its faults; raises RegistryError."""
    name = source.shown(reference)
    digest = source.resolve(reference)
    if digest is None:
        raise RegistryError(f"{name}: not found; check the name and the tag")
    with tempfile.TemporaryDirectory(dir=files.scratch(), prefix="part-") as scratch:
        pulled = layout.create(Path(scratch, "layout"))
        progress(f"reading {name}")
        if lost := _pull(source, digest, pulled):
            return Verified(name, digest, {}, (), (), tuple(lost))
        referrers = source.referrers(digest)
        lost = [fault for each in referrers for fault in _pull(source, each, pulled)]
        held = [each for each in referrers if pulled.path(each).is_file()]
        found = examine(pulled, name, digest, held, verifier, required)
        return replace(found, faults=(*lost, *_mistagged(reference, found), *found.faults))


def _mistagged(reference: str, found: Verified) -> list[str]:
    """Why a tag must not name this release: whoever can push may move a tag."""
    variant, version = found.annotations.get(VARIANT, ""), found.annotations.get(VERSION, "")
    if reference.startswith("@") or reference in {f":{variant}", f":{version}-{variant}"}:
        return []
    fault = (
        f"the tag {reference[1:]} names the release {shown(version)} of {shown(variant)}; to verify"
        " that release under another tag, name its digest"
    )
    return [fault]


def _pull(source: Repository, digest: str, pulled: Layout) -> list[str]:
    """Copy a manifest with what it names; return what the repository does not have of it."""
    try:
        source.copy_to(layout.repository(source.tools, pulled), digest, lambda _: None)
    except RegistryError:
        lost = missing(source, digest)
        if not lost:
            raise
        return lost
    return []


def missing(source: Repository, digest: str) -> list[str]:
    """The manifests and blobs that a repository does not have of a manifest."""
    faults = list[str]()
    waiting = [digest]
    while waiting:
        each = waiting.pop()
        if source.resolve(f"@{each}") is None:
            faults.append(f"manifest {each} is missing")
            continue
        found = layout.parse(source.manifest(each), each)
        waiting += [entry["digest"] for entry in found.get("manifests", ())]
        blobs = [*found.get("layers", ()), *([found["config"]] if "config" in found else ())]
        names = [blob["digest"] for blob in blobs]
        faults += [f"blob {name} is missing" for name in names if not source.has_blob(name)]
    return faults
