"""Commands for a GPU node: write and check OCI bundles, explain failures, run the workload layer
and the requirements' checklist.
"""

import argparse
import signal
from pathlib import Path

from worker_images import console
from worker_images.errors import FailedTestsError
from worker_images.model.oci.image import ImageError
from worker_images.node import workload_commands
from worker_images.node.bundle import command as bundle_command
from worker_images.node.command import Command
from worker_images.node.explain import command as explain_command
from worker_images.node.lint import command as lint_command
from worker_images.node.measure import restores_command, starts_command
from worker_images.node.verify import command as verify_command

COMMANDS: tuple[Command, ...] = (
    bundle_command.COMMAND,
    lint_command.COMMAND,
    explain_command.COMMAND,
    *workload_commands.COMMANDS,
    restores_command.COMMAND,
    *starts_command.COMMANDS,
    *verify_command.COMMANDS,
)
PROGRAM = "python3 -m worker_images.node"


def main(argv: list[str], root: Path, program: str = PROGRAM) -> int:
    """Run one command and return its exit code.

    0 success, 2 usage, 4 the machine is at fault, 5 a check failed, 130 interrupted.
    """
    arguments = _parsed(argv, program)
    # Both clean up as Ctrl-C does; nohup starts a command with SIGHUP ignored.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    return console.main(arguments.name, lambda: _run(arguments, root), "interrupted")


def _parsed(argv: list[str], program: str) -> argparse.Namespace:
    """Parse arguments; argparse gives a command no flags if an option comes before the --."""
    takes_flags = any(each.takes_flags and [each.name] == argv[:1] for each in COMMANDS)
    cut = argv.index("--") if takes_flags and "--" in argv else len(argv)
    arguments = _parser(program).parse_args(argv[:cut])
    if cut < len(argv):
        arguments.flags = argv[cut + 1 :]
    return arguments


def _run(arguments: argparse.Namespace, root: Path) -> tuple[int, str]:
    command: Command = arguments.command
    try:
        return command.run(arguments, root, console.print_progress)
    except ImageError as error:
        raise FailedTestsError(str(error)) from error


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")
    for command in COMMANDS:
        example = f"example:\n  {program} {command.name} {command.example}"
        subparser = commands.add_parser(
            command.name,
            help=command.summary,
            description=command.summary,
            epilog=example,
            formatter_class=argparse.RawTextHelpFormatter,
        )
        command.add_arguments(subparser)
        subparser.set_defaults(command=command)
    return parser
