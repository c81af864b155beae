"""The command verify: runs the requirements' checklist with the test suites."""

import argparse
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from worker_images.model import report_files
from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS, PINS, Table
from worker_images.model.results import NOT_RUN, Result
from worker_images.node import trust
from worker_images.node.command import CHECK_FAILED, OK, USAGE, Command, Log
from worker_images.node.place import PlaceError, run_command
from worker_images.node.pod import kubectl
from worker_images.node.pod.kubectl import Pod
from worker_images.node.verify import checklist, page, reports, suites
from worker_images.node.verify.checklist import Checklist, Entry, Row
from worker_images.node.verify.options import IMAGE, add_arguments
from worker_images.node.verify.reports import Report

# The options that select the rows of a layer.
SELECTED_BY = {
    "static": "run in a checkout, with --image",
    "image": "--image",
    "pod": "--context CTX, or --node",
    "workload": "--node, or --results PATH",
}


@dataclass(frozen=True)
class Run:
    """One run of the command: its options, the checkout or kit, and the log.

    `home` is the folder with the images: a project, or else the same. `reported` are the suites of
    which --results has the report.
    """

    options: argparse.Namespace
    root: Path
    home: Path
    log: Log
    drivers: Table
    scratch: Path
    reported: frozenset[str]

    def has(self, suite: str, option: object) -> bool:
        """Whether an option runs a suite, or --results has its report."""
        return bool(option) or suite in self.reported


def main(options: argparse.Namespace, root: Path, log: Log) -> tuple[int, str]:
    """Run the checklist, and return the exit code and the text for standard output.

    Raises UsageError for an image that is not trusted, and PlaceError, ImageError and OSError if
    the machine is at fault.
    """
    home: Path = options.project or root
    built = home / IMAGE
    image = options.image or (str(built) if built.exists() else "")
    if problem := _usage_problem(options, image):
        return USAGE, problem
    with tempfile.TemporaryDirectory() as scratch:
        # An unprivileged sandbox reads its bundle below this folder.
        Path(scratch).chmod(0o711)
        own = home / DRIVERS
        drivers = table.read(own if own.exists() else root / DRIVERS, home / PINS)
        found = [report_files.find(each, reports.SUITES) for each in options.results]
        reported = frozenset().union(*found)
        checked = _check(Run(options, root, home, log, drivers, Path(scratch), reported), image)
    _write(options.json, page.as_json(checked))
    _write(options.html, page.html(checked))
    return OK if checked.passed else CHECK_FAILED, page.text(checked)


def _write(path: Path | None, text: str) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _usage_problem(options: argparse.Namespace, image: str) -> str:
    if not image and not options.context:
        return (
            f"nothing to check: {IMAGE} does not exist; run: make slim, or name an image with"
            " --image, or a cluster with --context"
        )
    if options.results and not image:
        return "--results needs the image of the results; name it with --image, or run: make slim"
    if options.node and not image:
        return "--node needs an image for its runsc; name it with --image, or run: make slim"
    if image and not options.python:
        return "no python3 on PATH for the user's program; name one with --python"
    return ""


def _check(run: Run, image: str) -> Checklist:
    """Return every row with its result."""
    rows = checklist.load()
    missing_options = {row: _missing_option(row, run, image) for row in rows}
    selected = [_with_selected_tests(row, run) for row in rows if not missing_options[row]]
    _check_machine(run.options)
    file = _open_image(image, run) if image else Path()
    given: Mapping[str, Report] = {}
    if image:
        identity = trust.image_id(file)
        trust.require(run.home, image, identity, trust=run.options.trust)
        run.log(f"programs of {image} run as root on this machine")
        given = reports.read(run.options.results, run.root, identity)
    request = suites.Request(file, run.options, run.root, run.home, run.scratch, given)
    results = suites.run(selected, request, run.log)
    entries = []
    for row in rows:
        if option := missing_options[row]:
            entries.append(Entry(row, Result(NOT_RUN, step=option), selected=False))
        else:
            tested = _with_selected_tests(row, run)
            entries.append(Entry(row, checklist.join_results(tested, results, run.drivers)))
    return Checklist(tuple(entries), image, {**results.missing, **results.incomplete})


def _with_selected_tests(row: Row, run: Run) -> Row:
    """The row with the tests of the pod, of this node, or both."""
    if row.layer == "pod" and not run.has("workload", run.options.node):
        row = checklist.without_suite(row, "workload")
    if row.layer == "pod" and not run.has("pod", run.options.context):
        row = checklist.without_suite(row, "pod")
    return row


def _check_machine(options: argparse.Namespace) -> None:
    """Raise PlaceError if this machine or the cluster cannot run what the options select."""
    if options.node and os.geteuid() != 0:
        raise PlaceError("entering an image's root filesystem requires root; run as root")
    if options.context:
        if not shutil.which(options.kubectl):
            raise PlaceError(
                f"kubectl not found: {options.kubectl}; install it, or name it with --kubectl"
            )
        kubectl.find(Pod.of(vars(options).__getitem__))


def _missing_option(row: Row, run: Run, image: str) -> str:
    """Return the option that would select a row; empty if the row is selected."""
    options = run.options
    has_pod = run.has("pod", options.context)
    has_workload = run.has("workload", options.node)
    selected = {
        "static": image and (run.root / "build.py").exists(),
        "image": image,
        "pod": has_pod or has_workload,
        "workload": has_workload,
    }
    if not selected[row.layer]:
        return SELECTED_BY[row.layer]
    is_given = {
        "": True,
        "--context CTX": has_pod,
        "--context CTX --image FILE": has_pod and options.image,
        "--driver VERSION": options.driver or has_workload or suites.build_of(image, run.home),
    }
    return "" if is_given[row.needs] else row.needs


def _open_image(image: str, run: Run) -> Path:
    """Return the image as an archive or a root on disk; raises PlaceError."""
    path = Path(image)
    if path.exists():
        return path.resolve()
    if image.endswith((".tar", ".gz")):
        raise PlaceError(f"no file {image}")
    run.log(f"saving {image}")
    file = run.scratch / "saved.tar"
    docker = os.environ.get("WORKER_DOCKER", "docker")
    saved = run_command([docker, "save", f"--output={file}", image])
    if saved.status:
        own = '; for the private engine, run first: eval "$(./build.py engine env)"'
        hint = own if "Cannot connect" in saved.errors else ""
        raise PlaceError(f"docker save {image}: {saved.errors.strip()}{hint}")
    return file


COMMANDS = (
    Command(
        "verify",
        "check an image, a node and a pod against the requirements' checklist: show each check of"
        " the requirements with its assessment, and the result of the tests that replace it",
        "--image out/slim/image.tar --node",
        add_arguments,
        main,
    ),
)
