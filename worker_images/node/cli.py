"""The commands for a GPU node: a bundle, its linter, a reason in words, the workload layer, the
requirements' checklist.
"""

import argparse
import signal
from pathlib import Path

from worker_images import console
from worker_images.errors import EngineError
from worker_images.model.oci.image import ImageError
from worker_images.node import launching, working
from worker_images.node.command import Command
from worker_images.node.verify import verify

COMMANDS: tuple[Command, ...] = (*launching.COMMANDS, *working.COMMANDS, *verify.COMMANDS)


def main(argv: list[str], root: Path) -> int:
    """Run one command and return its exit code: 0 ok, 2 usage, 4 the machine, 5 a failed check,
    130 interrupted.
    """
    arguments = _parser().parse_args(argv)
    # Whoever ends it by SIGTERM gets it as tidy as by Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return console.main(arguments.name, lambda: _run(arguments, root), "interrupted")


def _run(arguments: argparse.Namespace, root: Path) -> tuple[int, str]:
    command: Command = arguments.command
    try:
        return command.run(arguments, root, console.print_progress)
    except ImageError as error:
        raise EngineError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m worker_images.node", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")
    for each in COMMANDS:
        example = f"example:\n  python3 -m worker_images.node {each.name} {each.example}"
        found = commands.add_parser(
            each.name,
            help=each.words,
            description=each.words,
            epilog=example,
            formatter_class=argparse.RawTextHelpFormatter,
        )
        each.describe(found)
        found.set_defaults(command=each)
    return parser
