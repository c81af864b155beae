"""The test suites behind the checklist: what each needs here, and its results."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.model import results
from worker_images.model.results import Check
from worker_images.node import suite
from worker_images.node.verify.checklist import Row, suite_of
from worker_images.node.verify.target import last_line

# pytest's status of a run that came to its end: every test passed, or some failed.
COMPLETE = (0, 1)


@dataclass(frozen=True)
class Request:
    """The tested image (an archive, or a root), the command's options, and the checkout or kit."""

    image: Path
    given: argparse.Namespace
    root: Path
    folder: Path


def run(
    rows: Sequence[Row], request: Request, log: Callable[[str], None]
) -> tuple[tuple[Check, ...], dict[str, str]]:
    """The results of the rows' tests, and why a suite has none."""
    tests = dict.fromkeys(test for row in rows for test in row.tests)
    checks: list[Check] = []
    missing: dict[str, str] = {}
    for name in dict.fromkeys(map(suite_of, tests)):
        if reason := _unusable(name, request):
            missing[name] = reason
            continue
        log(f"running tests/{name}")
        own = [test for test in tests if suite_of(test) == name]
        try:
            checks += _results(name, own, request)
        except _NoResultsError as error:
            missing[name] = str(error)
    return tuple(checks), missing


class _NoResultsError(Exception):
    """A suite could not run; the message says why."""


def _unusable(name: str, request: Request) -> str:
    """Why a suite cannot test this image here; empty where it can."""
    if not (request.root / "tests" / name).is_dir():
        return f"tests/{name} is in a checkout only, not in the GPU kit"
    if name == "image" and not variant_of(request.image, request.root):
        return "tests/image tests what this checkout built: out/VARIANT/image.tar"
    return ""


def variant_of(image: Path | str, root: Path) -> str:
    """The variant that this checkout built as this image; empty for any other image."""
    path = Path(image).resolve()
    name = path.parent.name
    return name if path == root.resolve() / "out" / name / "image.tar" else ""


def _options(name: str, request: Request) -> list[str]:
    image = [f"--image={request.image}"]
    drivers = [f"--driver={driver}" for driver in request.given.driver]
    if name == "image":
        return [f"--variant={variant_of(request.image, request.root)}", *image, *drivers]
    if name == "workload":
        return [*image, *drivers, f"--python={request.given.python}"]
    return []


def _results(name: str, tests: Sequence[str], request: Request) -> tuple[Check, ...]:
    report, log = request.folder / f"{name}.xml", request.folder / f"{name}.log"
    with log.open("wb") as output:
        status = suite.run(request.root, tests, _options(name, request), report, output)
    if status not in COMPLETE or not report.exists():
        words = last_line(log.read_text(errors="replace"))
        raise _NoResultsError(f"tests/{name}: status {status}: {words}")
    return results.read(report).checks
