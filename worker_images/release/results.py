"""Collect the test results of archives from reports, each of which must prove what it claims.

A report counts only for the image whose ID it names, if its seal matches, it shows the results of
all checks of a whole layer, and this checkout has the same suite.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.build.inputs import BUILDER
from worker_images.errors import PolicyError
from worker_images.model import report_files, results, seal, suite, xml
from worker_images.model.results import FAILED, NOT_RUN, PASSED, ResultsError, Run
from worker_images.model.tree import Tree
from worker_images.release.policy import REQUIRED, STEPS
from worker_images.release.tested import LayerResults, Row, Tested
from worker_images.untrusted import shown

MAX_REASON, MAX_MACHINE = 400, 200
# Layers whose checks do not depend on the variant.
SAME_FOR_ALL = ("pod",)
# A JUnit file lists a check twice if its teardown failed too; the last of its outcomes counts.
BEST_FIRST = (PASSED, NOT_RUN, FAILED)


@dataclass(frozen=True)
class Subject:
    """An archive to release; `report` is the JUnit file of the image layer that just tested it."""

    variant: str
    architecture: str
    image_id: str
    manifest_digest: str
    report: Path


@dataclass(frozen=True)
class _Report:
    path: Path
    layer: str
    digest: str
    run: Run
    again: str


def gather(
    root: Path,
    subjects: Sequence[Subject],
    given: Sequence[Path],
    others: Sequence[Path] = (),
) -> tuple[Tested, ...]:
    """Return the results of each subject, in order, from its own report and those of --results.

    A given report of the image layer replaces the own one, unless a check of that failed: more
    checks run on a machine of the image's architecture. `others` are keys of other machines.

    Raises PolicyError for a report that cannot be accepted, also one of an image that is not
    released, and EngineError for an unreadable key.
    """
    keys = seal.known_keys(root, others)
    paths = [path for each in dict.fromkeys(given) for path in _paths(each)]
    reports = [_read(path, path.stem, keys, f"run tests/{path.stem} again") for path in paths]
    own = {
        (subject, REQUIRED): _checked(
            _read(subject.report, REQUIRED, keys, _again(subject)), [subject], root
        )[1]
        for subject in subjects
    }
    found: dict[tuple[Subject, str], _Report] = {}
    for subject, report in (_checked(each, subjects, root) for each in reports):
        other = found.setdefault((subject, report.layer), report)
        if other is not report:
            raise PolicyError(
                f"{report.path}: {other.path} also has results of tests/{report.layer} for"
                f" {subject.variant} {subject.architecture}; pass one of the two with --results"
            )
    found = own | found | {key: each for key, each in own.items() if each.run.with_outcome(FAILED)}
    return tuple(_tested(root, subject, found) for subject in subjects)


def _again(subject: Subject) -> str:
    """How to run the image layer of a subject again."""
    if subject.architecture == BUILDER:
        return f"run: ./build.py test image --variant {subject.variant}"
    return f"remove {subject.report.with_name('build.json')} and run again"


def _checked(report: _Report, subjects: Sequence[Subject], root: Path) -> tuple[Subject, _Report]:
    """A report with its subject; raises PolicyError if it shows no result of one."""
    subject = _subject(report, subjects)
    if fault := _fault(report, subject, root):
        raise PolicyError(f"{report.path}: {fault}")
    return subject, report


def _paths(given: Path) -> Iterable[Path]:
    """The reports that --results names; raises UsageError if there are none."""
    step = (
        "; name the folder gpu-kit/results of a GPU node, or another folder with the report of a"
        " test layer"
    )
    return report_files.find(given, STEPS, step).values()


def _read(path: Path, layer: str, keys: Sequence[bytes], again: str) -> _Report:
    """Read a report whose seal matches; raises PolicyError."""
    try:
        data = xml.read_bytes(path)
    except OSError as error:
        raise PolicyError(f"{path}: {error.strerror}; {again}") from error
    if fault := seal.fault(path, data, keys):
        raise PolicyError(f"{path}: {fault}; {again}")
    try:
        run = results.parse(data, path)
    except ResultsError as error:
        raise PolicyError(str(error)) from error
    return _Report(path, layer, hashlib.sha256(data).hexdigest(), run, again)


def _subject(report: _Report, subjects: Sequence[Subject]) -> Subject:
    """Return the subject that a report names; raises PolicyError."""
    named = report.run.properties.get("image_id", "")
    found = next((subject for subject in subjects if subject.image_id == named), None)
    if not found:
        wanted = ", ".join(
            f"{each.variant} {each.architecture} {each.image_id}" for each in subjects
        )
        raise PolicyError(
            f"{report.path}: has results of image {shown(named) or 'unknown'}; to release: {wanted}"
        )
    return found


def _fault(report: _Report, subject: Subject, root: Path) -> str:
    """Return why a report does not show how the subject did in a layer; empty if it does."""
    properties, layer = report.run.properties, report.layer
    manifest = properties.get("manifest_digest") or subject.manifest_digest
    if manifest != subject.manifest_digest:
        return f"has results of manifest {shown(manifest)}, not of {subject.manifest_digest}"
    variant = properties.get("variant", "")
    if not variant and layer in SAME_FOR_ALL:
        variant = subject.variant
    if variant != subject.variant:
        return f"has the checks of variant {shown(variant) or 'unknown'}, not of {subject.variant}"
    files = {check.file for check in report.run.checks}
    if others := [file for file in sorted(files) if not file.startswith(f"tests/{layer}/")]:
        return f"has checks of another layer than {layer}: {shown(others[0])}"
    return _shortfall(report, suite.digest(Tree(root).checkout, layer, root))


def _shortfall(report: _Report, wanted: str) -> str:
    """Return what a report lacks to be one of all checks of a layer; empty if it lacks nothing."""
    layer, found = report.layer, report.run.properties.get("suite", "")
    again = report.again
    if not found:
        return f"does not name its suite: only some checks of tests/{layer} were selected; {again}"
    if found != wanted:
        return (
            f"comes from suite {shown(found[:12])} of tests/{layer}, and this checkout has"
            f" {wanted[:12] or 'none'}; with this checkout, {again}"
        )
    if fault := results.incomplete(report.run):
        return f"{fault}; {again}"
    if not results.count(report.run.checks).keys() & {PASSED, FAILED}:
        return f"has no check that ran; where they can run, {again}"
    return ""


def _tested(root: Path, subject: Subject, found: dict[tuple[Subject, str], _Report]) -> Tested:
    layers = []
    for name in STEPS:
        report = found.get((subject, name))
        layers.append(_ran(report, root) if report else _not_run(root, name))
    return Tested(
        subject.variant,
        subject.architecture,
        subject.image_id,
        subject.manifest_digest,
        tuple(layers),
    )


def _ran(report: _Report, root: Path) -> LayerResults:
    rows = {
        check.identity: Row(check.identity, outcome, shown(check.result.reason, MAX_REASON))
        for outcome in BEST_FIRST
        for check in report.run.with_outcome(outcome)
    }
    return LayerResults(
        report.layer,
        tuple(rows[name] for name in sorted(rows)),
        suite.digest(Tree(root).checkout, report.layer, root),
        report.digest,
        report.run.at,
        machine=shown(report.run.properties.get("machine", ""), MAX_MACHINE),
    )


def _not_run(root: Path, name: str) -> LayerResults:
    exists = bool(suite.digest(Tree(root).checkout, name))
    no_results, no_suite = "no results were passed with --results", f"no tests/{name} exists"
    return LayerResults(name, reason=no_results if exists else no_suite)
