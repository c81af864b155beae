"""The release of images: build and test, publish what a registry lacks, then tag and record it."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from worker_images.build import plan, requirements
from worker_images.build.record import exclusive
from worker_images.errors import PolicyError, UsageError
from worker_images.files import CACHE, text_digest
from worker_images.model.lock import Lock
from worker_images.model.oci.image import ImageError
from worker_images.model.project import Project
from worker_images.release import (
    attest,
    cosign,
    drafts,
    policy,
    record,
    registry,
    request,
    results,
    summary,
    tools,
)
from worker_images.release.attest import Evidence
from worker_images.release.cosign import Signer, Statement, Verifier
from worker_images.release.drafts import Draft
from worker_images.release.examine import Verified
from worker_images.release.outcome import ALREADY, TAGGED, Outcome
from worker_images.release.publish import Publisher
from worker_images.release.record import Released
from worker_images.release.request import Request
from worker_images.release.tools import Tools

Progress = Callable[[str], None]


def run(options: Request, project: Project, progress: Progress) -> tuple[Outcome, ...]:
    """Release variants of this checkout, or finish a release that was interrupted.

    Raises UsageError, RegistryError before the build if there is no registry, PolicyError, and the
    errors of a build.
    """
    request.check(options, project.catalog.variants)
    for name in options.variants:
        plan.described(project.catalog, name)
    locked = requirements.load(project)
    programs = tools.ensure(project, locked, progress)
    target = registry.connect(programs, options.target, options.ca_file)
    with contextlib.ExitStack() as held:
        scratch = Path(held.enter_context(tempfile.TemporaryDirectory()))
        signer, verifier = _authority(options, programs, scratch)
        work = f"releasing {options.version} to {options.target}"
        held.enter_context(exclusive(_lock_folder(options), progress, work))
        publisher = Publisher(
            target,
            signer,
            verifier,
            options.required,
            _folder(project, options),
            progress,
            options.keep_floating,
            allow_dirty=options.allow_dirty,
        )
        found = drafts.build(options, project, held, progress)
        # A version that is taken is refused for every variant before anything is pushed.
        present = [publisher.state(draft) for draft in found]
        evidence = _evidence(options, found, project, locked)
        if options.dry_run:
            return tuple(
                _dry(publisher, *each) for each in zip(found, evidence, present, strict=True)
            )
        outcomes = tuple(_publish(publisher, found, evidence, present))
        _record(options, outcomes, evidence, project, locked, progress)
    return outcomes


def _authority(options: Request, programs: Tools, scratch: Path) -> tuple[Signer, Verifier]:
    signer = Signer(programs, options.key)
    if options.key:
        public = cosign.public_key(programs, options.key, scratch / "key.pub")
        return signer, Verifier(programs, key=public)
    return signer, Verifier(programs, identity=options.identity, issuer=options.issuer)


def _lock_folder(options: Request) -> Path:
    """One release at a time for a repository."""
    return CACHE / "releases" / text_digest(options.target)[:16]


def _folder(project: Project, options: Request) -> Path:
    return project.root / "out" / "release" / options.version


def _evidence(
    options: Request, found: Sequence[Draft], project: Project, locked: Lock
) -> list[Evidence]:
    """The test results of each draft; raises PolicyError or FailedTestsError."""
    subjects = [part.subject for draft in found for part in draft.parts]
    gathered = results.gather(project.root, subjects, options.results, options.results_keys)
    for each in gathered:
        policy.enforce(each, policy.required(options.required))
    by_digest = {each.manifest_digest: each for each in gathered}
    return [
        Evidence(
            project,
            locked,
            options.builder_id,
            tuple(by_digest[part.candidate.digest] for part in draft.parts),
            given=bool(options.results),
        )
        for draft in found
    ]


def _publish(
    publisher: Publisher,
    found: Sequence[Draft],
    evidence: Sequence[Evidence],
    present: Sequence[Verified | None],
) -> Iterator[Outcome]:
    """Publish every draft, then tag every draft."""
    verified = [
        _completed(publisher, draft, proof, state)
        for draft, proof, state in zip(found, evidence, present, strict=True)
    ]
    for draft, checked, state in zip(found, verified, present, strict=True):
        tagged = publisher.held(draft) == draft.digest
        if not tagged:
            publisher.tag(draft)
        done = ALREADY if tagged and checked is state else "released"
        named, keep = publisher.floating(draft), publisher.keep_floating
        yield Outcome(draft, checked, done, named, named.kept(draft, keep=keep, released=tagged))


def _completed(
    publisher: Publisher, draft: Draft, proof: Evidence, state: Verified | None
) -> Verified:
    """Publish what the registry lacks of a draft; raises PolicyError."""
    present = state.statements if state else ()
    if state and not state.faults and not proof.added(present):
        return state
    if state and state.others and not present:
        publisher.progress(f"warning: another key signed {draft.tag}; this key signs it too")
    wanted = _statements(draft, proof)
    return publisher.publish(draft, attest.lacking(wanted, present, given=proof.given))


def _statements(draft: Draft, proof: Evidence) -> tuple[Statement, ...]:
    """What is signed about a draft; raises PolicyError for an archive that cannot be read."""
    try:
        return tuple(attest.statements(draft, proof))
    except ImageError as error:
        raise PolicyError(
            f"{error}; the archive changed after its tests, and no tag was moved; remove it, build"
            f" again with ./build.py --variant {draft.variant}, and run this command again"
        ) from error


def _record(
    options: Request,
    outcomes: Sequence[Outcome],
    evidence: Sequence[Evidence],
    project: Project,
    locked: Lock,
    progress: Progress,
) -> None:
    """Write the record of the release, unless nothing was published and it exists."""
    old = _earlier(options, project, progress)
    if old and all(each.done == ALREADY for each in outcomes):
        return
    tested = [each for proof in evidence for each in proof.tested]
    drafted = [each.draft for each in outcomes]
    new = summary.released(options.target, drafted, tested, project, locked, options.verifier)
    summary.joined(new, old).write(project.root)


def _earlier(options: Request, project: Project, progress: Progress) -> Released | None:
    """The record of an earlier run. One that is not readable does not end a published release."""
    if not record.file_of(project.root, options.version, options.target).is_file():
        return None
    try:
        return Released.read(project.root, options.version, options.target)
    except UsageError as error:
        progress(f"warning: {error}; it is written again")
        return None


def _dry(publisher: Publisher, draft: Draft, proof: Evidence, state: Verified | None) -> Outcome:
    """Read the archives of a draft as a release does; raises PolicyError."""
    _statements(draft, proof)
    tagged = publisher.held(draft) == draft.digest
    # Without a key, nothing can be verified.
    unsigned = not publisher.signer.key and not publisher.verifier.identity
    complete = tagged and (unsigned or (state is not None and not state.faults))
    done = (TAGGED if unsigned else ALREADY) if complete else "would be released"
    named, keep = publisher.floating(draft), publisher.keep_floating
    return Outcome(draft, None, done, named, named.kept(draft, keep=keep, released=tagged))
