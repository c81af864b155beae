"""The commands for a GPU node: a bundle, its linter, a reason in words, the workload layer, the
requirements' checklist.
"""

import argparse
import signal
import sys
from pathlib import Path

from worker_images.model.oci.image import ImageError
from worker_images.node import launching, working
from worker_images.node.command import ENGINE, INTERRUPTED, Command
from worker_images.node.place import PlaceError
from worker_images.node.spec import SpecError
from worker_images.node.verify import command as verifying

COMMANDS: tuple[Command, ...] = (*launching.COMMANDS, *working.COMMANDS, *verifying.COMMANDS)


def main(argv: list[str], root: Path) -> int:
    """Run one command and return its exit code: 0 ok, 2 usage, 4 the machine, 5 the judge refuses,
    130 interrupted.
    """
    arguments = _parser().parse_args(argv)
    command: Command = arguments.command
    # Whoever ends it by SIGTERM gets it as tidy as by Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status, text = command.run(arguments, root, _say)
    except (SpecError, ImageError, PlaceError) as error:
        print(f"{arguments.name}: {error}", file=sys.stderr)
        return ENGINE
    except OSError as error:
        print(
            f"{arguments.name}: {error.filename or 'the machine'}: {error.strerror or error};"
            " correct that and run again",
            file=sys.stderr,
        )
        return ENGINE
    except KeyboardInterrupt:
        print(f"{arguments.name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    if text:
        print(text)
    return status


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


def _say(words: str) -> None:
    print(f"» {words}", file=sys.stderr)
