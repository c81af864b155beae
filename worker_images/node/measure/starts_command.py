"""The command starts: how fast programs start in sandboxes, and what makes them faster."""

import argparse
import os
import tempfile
from pathlib import Path

from worker_images.files import PROBES
from worker_images.node import node, place, trust
from worker_images.node.command import OK, Command, Log
from worker_images.node.measure import start_sides, starts
from worker_images.node.measure.start_options import OPTIONS, named
from worker_images.node.measure.start_sides import PROGRAMS
from worker_images.node.measure.starts import COLD, WARM
from worker_images.node.options import add_python
from worker_images.node.place import PlaceError
from worker_images.node.unpack import open_root

ROUNDS, SECONDS = 3, 420.0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image", type=Path, required=True, help="an image archive or its unpacked root"
    )
    add_python(parser, ", which has torch")
    for name, choices, text in (
        (
            "--program",
            PROGRAMS,
            "the programs to start; read reads the files of torch; default: all",
        ),
        ("--cache", (WARM, COLD), "the state of the page cache; default: both"),
    ):
        parser.add_argument(name, action="append", choices=choices, help=f"{text}; may be repeated")
    parser.add_argument(
        "--option",
        action="append",
        type=_option,
        metavar="NAME[+NAME...]",
        help=f"what to change in a sandbox: {', '.join(OPTIONS)}; + joins several; default: depends"
        " on the program; may be repeated",
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"starts on each side; default: {ROUNDS}"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        help=f"begin no round that would end later; default: {SECONDS:g}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all values as JSON")
    trust.add_argument(parser)
    trust.add_project(parser)


def _option(words: str) -> str:
    """Return the names of options if they are known, and this machine can have them."""
    try:
        found = named(words)
    except KeyError as error:
        known = ", ".join(OPTIONS)
        raise argparse.ArgumentTypeError(f"no option {error}; known options: {known}") from error
    if found.processors >= len(os.sched_getaffinity(0)):
        raise argparse.ArgumentTypeError(
            f"{words} needs more than {found.processors} processors on this machine"
        )
    return words


def _starts(arguments: argparse.Namespace, root: Path, log: Log) -> tuple[int, str]:
    this_node = node.read()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "image").mkdir()
        image_root, image_id = open_root(arguments.image.resolve(), folder / "image")
        home: Path = arguments.project or root
        trust.require(home, str(arguments.image), image_id, trust=arguments.trust)
        bench = start_sides.prepared(
            place.Chroot(image_root), this_node, arguments.python, root / PROBES, folder
        )
        cases = []
        for cache in arguments.cache or (WARM, COLD):
            for program in arguments.program or PROGRAMS:
                options = arguments.option or start_sides.options_of(program, cache)
                try:
                    cases.append(start_sides.case(bench, program, cache, options))
                except PlaceError as error:
                    log(f"not run: {program}: {error}")
        measured = starts.measure(cases, arguments.rounds, arguments.seconds, log)
    if not measured:
        raise PlaceError("nothing was measured; the messages before say why")
    if arguments.json:
        arguments.json.write_text(starts.as_json(measured))
    return OK, starts.text(measured)


COMMANDS = (
    Command(
        "starts",
        "measure how fast programs start in sandboxes, with the page cache warm and cold",
        "--image image.tar --python python3",
        _add_arguments,
        _starts,
    ),
)
