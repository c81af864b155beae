"""Commands for the workload layer: workload, proof."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from worker_images.files import PROBES
from worker_images.model.results import ResultsError
from worker_images.node import figures, node, place, proof, suite
from worker_images.node.command import OK, REFUSED, USAGE, Command, Log
from worker_images.node.place import PlaceError
from worker_images.node.unpack import root_of


def _describe_workload(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--variant",
        help="what the image claims to be: slim, full; default: each, of those built here",
    )
    parser.add_argument(
        "--image", help="an image archive or its unpacked root; default: out/VARIANT/image.tar"
    )
    parser.add_argument(
        "--place",
        default="unpacked",
        choices=("unpacked", "engine"),
        help="engine: in a container of worker:VARIANT",
    )
    parser.add_argument(
        "--python",
        default=shutil.which("python3"),
        help="the user's python, with torch for all checks",
    )
    parser.add_argument("--other-runsc", type=Path, help="an older runsc for the negative controls")
    parser.add_argument(
        "--require", choices=("workload",), help="what the machine cannot run is a failure"
    )
    parser.add_argument(
        "--figures", action="store_true", help="measure the cost of the sandbox too"
    )
    parser.add_argument(
        "--results", type=Path, metavar="FOLDER", help="where the results go; default: out/VARIANT"
    )


def _workload(arguments: argparse.Namespace, root: Path, log: Log) -> tuple[int, str]:
    built = sorted(path.parent.name for path in root.glob("images/*/variant.yaml"))
    if problem := _usage(arguments, built):
        return USAGE, problem
    outcomes = [
        _variant(arguments, root, variant, log)
        for variant in ([arguments.variant] if arguments.variant else built)
    ]
    return max((status for status, _ in outcomes), default=USAGE), "\n".join(
        text for _, text in outcomes if text
    )


def _usage(arguments: argparse.Namespace, built: Sequence[str]) -> str:
    """What cannot be meant."""
    problems = {
        "no python3 on PATH for the user's program; name one with --python": not arguments.python,
        f"no variant {arguments.variant}; there are: {', '.join(built)}": (
            arguments.variant and built and arguments.variant not in built
        ),
        f"no file {arguments.other_runsc}": (
            arguments.other_runsc and not arguments.other_runsc.is_file()
        ),
        "--figures are of the unpacked root: leave out --place": (
            arguments.figures and arguments.place != "unpacked"
        ),
    }
    return next((words for words, holds in problems.items() if holds), "")


def _variant(arguments: argparse.Namespace, root: Path, variant: str, log: Log) -> tuple[int, str]:
    results = (arguments.results or root / "out" / variant).resolve()
    image = Path(arguments.image or root / "out" / variant / "image.tar").resolve()
    options = [
        "--variant",
        variant,
        "--image",
        str(image),
        "--place",
        arguments.place,
        "--python",
        arguments.python,
    ]
    options += (
        ["--other-runsc", str(arguments.other_runsc.resolve())] if arguments.other_runsc else []
    )
    options += ["--require", arguments.require] if arguments.require else []
    log(f"the workload layer of {variant}")
    status = REFUSED if suite.run(root, ["tests/workload"], options, results / proof.CHECKS) else OK
    return status, (
        _measure(arguments.python, root, image, results, variant, log) if arguments.figures else ""
    )


def _measure(python: str, root: Path, image: Path, results: Path, variant: str, log: Log) -> str:
    """The figures, and what machine they are of."""
    found = node.read()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "image").mkdir()
        inside, _ = root_of(image, folder / "image")
        bare = place.Bare(f"{inside}{place.RUNSC}", f"{folder}/beside")
        measured = figures.measure(
            place.Unpacked(inside), bare, found, python, root / PROBES, folder, log
        )
        run = {"variant": variant} | proof.machine(
            found, python, bare.runsc, ["python3", "-m", "worker_images.node", *sys.argv[1:]]
        )
    (results / proof.FIGURES).write_text(figures.as_json(measured))
    (results / proof.RUN).write_text(json.dumps(run, indent=1) + "\n")
    return figures.text(measured)


def _describe_proof(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results",
        nargs="+",
        type=Path,
        help="folders that workload --figures wrote, and verify --json FOLDER/verify.json",
    )


def _proof(arguments: argparse.Namespace, root: Path, _: Log) -> tuple[int, str]:
    try:
        return OK, proof.page(arguments.results, root)
    except (ResultsError, KeyError, ValueError) as error:
        raise PlaceError(
            f"{', '.join(map(str, arguments.results))}: not results of a whole run: {error!r}"
        ) from error


COMMANDS = (
    Command(
        "workload",
        "run the workload layer on this machine: CUDA in the image's own runsc",
        "--variant slim --require workload",
        _describe_workload,
        _workload,
    ),
    Command(
        "proof",
        "print what runs of the workload layer prove, as one page of Markdown",
        "out/slim out/full",
        _describe_proof,
        _proof,
    ),
)
