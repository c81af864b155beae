"""Runs the test suites behind the checklist, and collects their results."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from worker_images.model import results
from worker_images.model.results import Check
from worker_images.node import run_pytest
from worker_images.node.pod import options as pods
from worker_images.node.verify.checklist import Results, Row, suite_of
from worker_images.node.verify.reports import Report
from worker_images.untrusted import read_json

# The architecture of this machine, in the words of container images.
HOST = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


@dataclass(frozen=True)
class Request:
    """The tested image (an archive or a root), the command's options, and the checkout or kit.

    `home` is the folder with the images: a project, or else the same. `reports` replace suites that
    ran before.
    """

    image: Path
    options: argparse.Namespace
    root: Path
    home: Path
    folder: Path
    reports: Mapping[str, Report] = field(default_factory=dict)


def run(rows: Sequence[Row], request: Request, log: Callable[[str], None]) -> Results:
    """Run the tests of the rows, and return their results."""
    tests = dict.fromkeys(test for row in rows for test in row.tests)
    suites: dict[str, list[str]] = {}
    for test in tests:
        suites.setdefault(suite_of(test), []).append(test)
    checks: list[Check] = []
    missing: dict[str, str] = {}
    incomplete: dict[str, str] = {}
    for name, selected in suites.items():
        if report := request.reports.get(name):
            log(f"reading {report.path}")
            checks += report.checks
            continue
        try:
            _check_usable(name, request)
            log(f"running tests/{name}")
            checks += _results(name, selected, request)
        except _NoResultsError as error:
            missing[name] = str(error)
        except _IncompleteError as error:
            incomplete[name] = str(error)
    return Results(checks, missing, incomplete)


class _NoResultsError(Exception):
    """A suite could not run; the message is the reason."""


class _IncompleteError(Exception):
    """A suite started and did not finish; the message is the reason."""


def _check_usable(name: str, request: Request) -> None:
    """Refuse a suite that cannot test this image here."""
    folder = f"tests/{name}"
    if not (request.root / folder).is_dir():
        raise _NoResultsError(f"{folder} is only in a checkout, not in the GPU kit")
    built = build_of(request.image, request.home)
    if name == "image" and not built:
        raise _NoResultsError(f"{folder} tests only images of this checkout: out/NAME/image.tar")
    if name == "workload" and built and built.architecture not in {"", HOST}:
        raise _NoResultsError(
            f"{folder}: programs for {built.architecture} do not run on this {HOST} machine"
        )


@dataclass(frozen=True)
class Build:
    """How this checkout built an image; empty texts are unknown."""

    variant: str
    source: str = ""
    architecture: str = ""

    @property
    def options(self) -> list[str]:
        """The options of tests/image."""
        known = {"variant": self.variant, "source": self.source, "arch": self.architecture}
        return [f"--{name}={value}" for name, value in known.items() if value]


def build_of(image: Path | str, root: Path) -> Build | None:
    """Return how a checkout or project built an image, by its record; None for any other image."""
    path = Path(image).resolve()
    folder = path.parent
    if path != root.resolve() / "out" / folder.name / "image.tar":
        return None
    try:
        record = read_json(folder / "build.json")
        return Build(record["variant"], record["source"], record["architecture"])
    except (OSError, ValueError, KeyError, TypeError):
        return Build(folder.name)


def _options(name: str, request: Request) -> list[str]:
    image = [f"--image={request.image}", *(["--trust"] if request.options.trust else [])]
    drivers = [f"--driver={driver}" for driver in request.options.driver]
    project = [f"--project={request.home}"] if request.home != request.root else []
    if name == "image":
        built = build_of(request.image, request.home)
        return [*(built.options if built else ()), *project, *image, *drivers]
    if name == "workload":
        return [*project, *image, *drivers, f"--python={request.options.python}"]
    if name == "pod":
        return _pod_options(request)
    return project


def _pod_options(request: Request) -> list[str]:
    values = vars(request.options)
    options = pods.given(request.options)
    if values["image"]:
        is_digest = "@sha256:" in values["image"]
        options.append(f"--image={values['image'] if is_digest else request.image}")
    return [*options, *(["--stand-in"] if values["stand_in"] else [])]


def _results(name: str, tests: Sequence[str], request: Request) -> tuple[Check, ...]:
    report = request.folder / f"{name}.xml"
    log = request.folder / f"{name}.log"
    options = _options(name, request)
    with log.open("wb") as output:
        status = run_pytest.run(request.root, tests, options, report, output)
    # A pytest whose output cannot be written exits with 1, as after a failed test.
    if status not in run_pytest.COMPLETE or not report.exists() or not report.stat().st_size:
        full = f"no output; check the disk space of {request.folder}"
        message = _error_line(log.read_text(errors="replace")) or full
        raise _IncompleteError(f"tests/{name}: pytest exited with {status}: {message}")
    return results.read(report).checks


def _error_line(text: str) -> str:
    """Return pytest's own error, or else the last line that is not empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    whole = [line for line in errors if line.startswith("ERROR: ")]
    return (whole or errors or lines or [""])[-1]
