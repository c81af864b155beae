"""Reports of suites that ran before, which the checklist can take instead of running them again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.errors import UsageError
from worker_images.model import report_files, results, seal, suite, xml
from worker_images.model.results import Check, ResultsError, Run
from worker_images.untrusted import shown

SUITES = ("image", "pod", "workload")


@dataclass(frozen=True)
class Report:
    """The report of a suite: its file, what it says about itself, and its checks."""

    path: Path
    run: Run

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks with their results."""
        return self.run.checks


def read(given: Sequence[Path], root: Path, image_id: str) -> Mapping[str, Report]:
    """Return the reports that --results names by their suites; `root` is the checkout or kit.

    Raises UsageError for a report that does not show the results of a whole suite of this checkout
    for the image.
    """
    found: dict[str, Report] = {}
    for name, path in _paths(given):
        if name in found:
            raise UsageError(
                f"{path}: {found[name].path} also has results of tests/{name}; pass one of the two"
                " with --results"
            )
        found[name] = _checked(name, path, root, image_id)
    return found


def _paths(given: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    for path in given:
        yield from report_files.find(path, SUITES).items()


def _checked(name: str, path: Path, root: Path, image_id: str) -> Report:
    again = f"run tests/{name} again"
    data = xml.read_bytes(path)
    if fault := seal.fault(path, data, seal.known_keys(root, [*_kit_key(root)])):
        raise UsageError(f"{path}: {fault}; {again}")
    try:
        run = results.parse(data, path)
    except ResultsError as error:
        raise UsageError(str(error)) from error
    named = run.properties.get("image_id", "")
    if named != image_id:
        raise UsageError(
            f"{path}: has results of image {shown(named) or 'unknown'}, not of {image_id}"
        )
    if run.properties.get("suite", "") != suite.digest(root, name):
        raise UsageError(f"{path}: not of all checks of this checkout's tests/{name}; {again}")
    if fault := results.incomplete(run):
        raise UsageError(f"{path}: {fault}; {again}")
    return Report(path, run)


def _kit_key(root: Path) -> Iterator[Path]:
    """The key of a GPU kit or of an exported cluster."""
    if (root / seal.KIT_KEY).exists():
        yield root / seal.KIT_KEY
