"""The command verify: the requirements' checklist, by the test suites and probes of a pod."""

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS, Table
from worker_images.model.results import NOT_RUN, Result
from worker_images.node import node
from worker_images.node.command import OK, REFUSED, USAGE, Command, Log
from worker_images.node.place import PlaceError, Unpacked, answer
from worker_images.node.unpack import root_of
from worker_images.node.verify import checklist, page, suites
from worker_images.node.verify.checklist import Checklist, Entry, Row
from worker_images.node.verify.cluster import Cluster
from worker_images.node.verify.pod import PROBES
from worker_images.node.verify.target import Target

IMAGE = "out/slim/image.tar"
# What selects a layer's rows.
SELECTED_BY = {
    "static": "run in a checkout, with --image",
    "image": "--image",
    "pod": "--context CTX, or --node",
    "workload": "--node",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--image",
        metavar="FILE|FOLDER|REF",
        help=f"an image archive, its unpacked root, or its name in an engine; default: {IMAGE}",
    )
    parser.add_argument(
        "--driver",
        action="append",
        default=[],
        metavar="VERSION",
        help="a driver that nodes have; may be repeated",
    )
    parser.add_argument(
        "--node",
        action="store_true",
        help="check this machine too: the pod's rows, and CUDA in sandboxes of the image's runsc",
    )
    parser.add_argument(
        "--python",
        default=shutil.which("python3"),
        help="the user's python, with torch for all rows",
    )
    _add_pod(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON too")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the results as a page too")


def _add_pod(parser: argparse.ArgumentParser) -> None:
    """Which pod of a cluster is checked."""
    parser.add_argument(
        "--context",
        metavar="CTX",
        help="check a pod of the cluster that kubectl reaches by this context",
    )
    parser.add_argument(
        "--namespace", default="default", metavar="N", help="the pod's namespace; default: default"
    )
    parser.add_argument(
        "--pod", default="worker", metavar="P", help="the pod's name; default: worker"
    )
    parser.add_argument(
        "--kubectl",
        default="kubectl",
        metavar="PATH",
        help="the program kubectl; default: that on PATH",
    )


@dataclass(frozen=True)
class Run:
    """One run of the command: its options, the checkout or kit, and where progress goes."""

    given: argparse.Namespace
    root: Path
    log: Log
    drivers: Table
    scratch: Path


def main(given: argparse.Namespace, root: Path, log: Log) -> tuple[int, str]:
    """The exit code, and the text for standard output.

    Raises PlaceError, ImageError and OSError where the machine is at fault.
    """
    built = root / IMAGE
    image = given.image or (str(built) if built.exists() else "")
    if problem := _usage(given, image):
        return USAGE, problem
    with tempfile.TemporaryDirectory() as scratch:
        # Other users pass through it: a sandbox without rights reads its bundle there.
        Path(scratch).chmod(0o711)
        drivers = table.read(root / DRIVERS)
        made = _checked(Run(given, root, log, drivers, Path(scratch)), image)
    _write(given.json, page.as_json(made))
    _write(given.html, page.html(made))
    return OK if made.passed else REFUSED, page.text(made)


def _write(path: Path | None, text: str) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _usage(given: argparse.Namespace, image: str) -> str:
    if not image and not given.context:
        return (
            f"nothing to check: there is no {IMAGE}; run: make slim, or name an image with --image,"
            " or a cluster with --context"
        )
    if given.node and not image:
        return "--node needs the image whose runsc is used: --image FILE, or run: make slim"
    if image and not given.python:
        return "no python3 on PATH for the user's program; name one with --python"
    return ""


def _checked(run: Run, image: str) -> Checklist:
    """Every row with its result."""
    rows = checklist.load()
    options = {row: _unselected(row, run, image) for row in rows}
    selected = [row for row in rows if not options[row]]
    file = _opened(image, run) if image else Path()
    request = suites.Request(file, run.given, run.root, run.scratch)
    results = suites.run(selected, request, run.log)
    probed = _probed(selected, file, run)
    entries = []
    for row in rows:
        if option := options[row]:
            entries.append(Entry(row, Result(NOT_RUN, step=option), selected=False))
        elif row.probe:
            entries.append(Entry(row, probed[row]))
        else:
            entries.append(Entry(row, checklist.joined(row, results, run.drivers)))
    return Checklist(tuple(entries), image, results.missing)


def _probed(rows: Sequence[Row], image: Path, run: Run) -> dict[Row, Result]:
    """The results of the rows with a probe."""
    found: dict[Row, Result] = {}
    own = [row for row in rows if row.probe]
    if not own:
        return found
    target = _target(run, image)
    for row in own:
        run.log(f"pod: {row.check}")
        found[row] = PROBES[row.probe].result(target)
    return found


def _unselected(row: Row, run: Run, image: str) -> str:
    """The option that would select a row; empty where it is selected."""
    given = run.given
    selected = {
        "static": image and (run.root / "build.py").exists(),
        "image": image,
        "pod": given.context or given.node,
        "workload": given.node,
    }
    if not selected[row.layer]:
        return SELECTED_BY[row.layer]
    given_too = {
        "": True,
        "--context CTX": given.context,
        "--driver VERSION": given.driver or given.node or suites.variant_of(image, run.root),
    }
    return "" if given_too[row.needs] else row.needs


def _opened(image: str, run: Run) -> Path:
    """The image as an archive or a root on disk; raises PlaceError."""
    path = Path(image)
    if path.exists():
        return path.resolve()
    if image.endswith((".tar", ".gz")):
        raise PlaceError(f"no file {image}")
    run.log(f"saving {image}")
    file = run.scratch / "saved.tar"
    docker = os.environ.get("WORKER_DOCKER", "docker")
    saved = answer([docker, "save", f"--output={file}", image])
    if saved.status:
        raise PlaceError(f"docker save {image}: {saved.errors.strip()}")
    return file


def _target(run: Run, image: Path) -> Target:
    """The pod that probes look at: a cluster's, or this node with the image's root."""
    given = run.given
    if given.context:
        if not shutil.which(given.kubectl):
            raise PlaceError(f"no program {given.kubectl}; install it, or name it with --kubectl")
        cluster = Cluster(given.context, given.namespace, given.pod, given.kubectl)
        return Target(cluster.place, run.drivers, cluster=cluster)
    if os.geteuid() != 0:
        raise PlaceError("entering an image's root needs root; run as root")
    (run.scratch / "root").mkdir()
    root, _ = root_of(image, run.scratch / "root")
    return Target(Unpacked(root), run.drivers, node=node.read())


COMMANDS = (
    Command(
        "verify",
        "check an image, a node and a pod by the requirements' checklist: each requirement's own"
        " check with its assessment, and the result of the tests that replace it",
        "--image out/slim/image.tar --node",
        arguments,
        main,
    ),
)
