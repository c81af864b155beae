"""The requirements' checklist as a command: which rows are asked, where, and what comes of it."""

import argparse
import contextlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from worker_images.files import PROBES
from worker_images.model.drivers import table
from worker_images.model.drivers.kernel import NO_DRIVER
from worker_images.model.drivers.table import DRIVERS, Table
from worker_images.node import node, place
from worker_images.node.command import OK, REFUSED, USAGE
from worker_images.node.node import Node
from worker_images.node.place import Answer, Place, PlaceError, answer
from worker_images.node.spec import SpecError
from worker_images.node.unpack import root_of
from worker_images.node.verify import committed, image, pod, trial, verdict, workload
from worker_images.node.verify.cluster import Cluster
from worker_images.node.verify.rows import NOT_ASKED, Finding, Result, Row, Scene, ask, shell
from worker_images.node.verify.verdict import Report

IMAGE = "out/slim/image.tar"
ROWS = (*committed.ROWS, *image.ROWS, *pod.ROWS, *workload.ROWS)
# What asks a layer's rows.
OPTIONS = {
    "static": "run in a checkout, with --image",
    "image": "--image",
    "pod": "--context CTX, or --node",
    "workload": "--node",
}

Log = Callable[[str], None]


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
        help="ask this machine too: the pod's rows, and CUDA in sandboxes of the image's runsc",
    )
    parser.add_argument(
        "--python",
        default=shutil.which("python3"),
        help="the user's python, with torch for all rows",
    )
    _add_pod(parser)
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the results for machines too"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the results as a page too")


def _add_pod(parser: argparse.ArgumentParser) -> None:
    """Which pod of a cluster is asked."""
    parser.add_argument(
        "--context",
        metavar="CTX",
        help="ask a pod of the cluster that kubectl reaches by this context",
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


def main(given: argparse.Namespace, root: Path, log: Log) -> tuple[str, int]:
    """What is to be printed, and the exit code.

    Raises PlaceError, ImageError and OSError where the machine is at fault.
    """
    image = given.image or (str(root / IMAGE) if (root / IMAGE).exists() else "")
    if problem := _usage(given, image):
        return problem, USAGE
    with contextlib.ExitStack() as stack:
        results = tuple(_results(_scenes(given, root, image, stack, log), log))
    report = Report(results, image)
    for path, text in ((given.json, verdict.as_json), (given.html, verdict.html)):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text(report))
    return verdict.text(report), OK if report.well else REFUSED


def _usage(given: argparse.Namespace, image: str) -> str:
    if not image and not given.context:
        return (
            f"nothing to ask: no {IMAGE} here; run: make slim, or name an image with --image, or a"
            " cluster with --context"
        )
    if given.node and not image:
        return "--node needs the image whose runsc is asked: --image FILE, or run: make slim"
    if given.node and not given.python:
        return "no python3 on PATH for the user's program; name one with --python"
    return ""


def _results(scenes: dict[str, Scene], log: Log) -> Iterator[Result]:
    for row in ROWS:
        if row.layer not in scenes:
            yield Result(row, Finding(NOT_ASKED, "", step=OPTIONS[row.layer]))
            continue
        if not scenes[row.layer].unable:
            log(f"{row.layer}: {row.check}")
        yield ask(row, scenes[row.layer])


@dataclass(frozen=True)
class _Known:
    """What all scenes of the image share."""

    given: argparse.Namespace
    root: Path
    place: Place
    node: Node | None
    drivers: Table


def _scenes(
    given: argparse.Namespace, root: Path, image: str, stack: contextlib.ExitStack, log: Log
) -> dict[str, Scene]:
    """Where each layer that is asked is asked."""
    drivers = table.read(root / DRIVERS)
    scenes = {"pod": _pod(given, drivers)} if given.context else {}
    if image:
        found = node.read() if given.node else None
        log(f"opening {image}")
        known = _Known(given, root, stack.enter_context(opened(image, found)), found, drivers)
        scenes |= {"static": _static(root, drivers)} if (root / "build.py").exists() else {}
        scenes |= {"image": _in_image(known)}
        scenes = (
            {"pod": _in_image(known), "workload": _workload(known, stack, log)} if found else {}
        ) | scenes
    return scenes


@contextlib.contextmanager
def opened(image: str, found: Node | None) -> Iterator[Place]:
    """The image as a place to run in; raises PlaceError, ImageError and OSError."""
    path = Path(image)
    if image.endswith((".tar", ".gz")) and not path.exists():
        raise PlaceError(f"no file {image}")
    if not path.exists():
        nodes = [(device.path, device.path) for device in found.devices] if found else []
        with place.container(image, nodes, os.environ.get("WORKER_DOCKER", "docker")) as made:
            yield made
        return
    if os.geteuid() != 0:
        raise PlaceError(
            "entering an image's root needs root: run as root, or name the image in an engine"
        )
    with tempfile.TemporaryDirectory() as scratch:
        root, _ = root_of(path.resolve(), Path(scratch))
        yield place.Unpacked(root)


def _in_image(known: _Known) -> Scene:
    drivers = (
        *known.given.driver,
        *((known.node.driver,) if known.node and known.node.driver else ()),
    )

    def run(line: str) -> Answer:
        return shell(known.place, line)

    return Scene(run, lambda row: run(row.own), known.drivers, drivers, known.node)


def _static(root: Path, drivers: Table) -> Scene:
    def run(line: str) -> Answer:
        return answer(["sh", "-c", f"cd {shlex.quote(str(root))}\n{line}"])

    return Scene(run, lambda row: run(row.own), drivers)


def _pod(given: argparse.Namespace, drivers: Table) -> Scene:
    if not shutil.which(given.kubectl):
        raise PlaceError(f"no program {given.kubectl}; install it, or name it with --kubectl")
    cluster = Cluster(given.context, given.namespace, given.pod, given.kubectl)

    def repeat(row: Row) -> Answer:
        return cluster.type(row.note)

    return Scene(lambda line: shell(cluster.place, line), repeat, drivers, cluster=cluster)


def _workload(known: _Known, stack: contextlib.ExitStack, log: Log) -> Scene:
    """The trial, which every row reads; a machine without a GPU cannot run it."""
    nothing = Answer(0, "", "")
    if not known.node or not known.node.driver:
        return Scene(lambda _: nothing, lambda _: nothing, known.drivers, unable=NO_DRIVER)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    commands = [
        row.own for row in workload.ROWS if row.own and row.own not in (trial.LOGS, trial.PROCESSES)
    ]
    try:
        made = trial.attempt(
            known.place, known.node, known.given.python, known.root / PROBES, commands, folder, log
        )
    except (PlaceError, SpecError) as error:
        return _refusing(str(error), known.drivers)
    return Scene(
        lambda _: made.outcome,
        lambda row: made.said[row.own],
        known.drivers,
        node=known.node,
        trial=made,
    )


def _refusing(words: str, drivers: Table) -> Scene:
    """What every row fails by where no sandbox could be tried."""

    def refuse(_: object) -> Answer:
        raise PlaceError(words)

    return Scene(refuse, refuse, drivers)
