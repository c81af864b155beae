"""The description of one command of `python3 -m worker_images.node`."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from worker_images.errors import FailedTestsError, UsageError

OK, USAGE, CHECK_FAILED = 0, UsageError.exit_code, FailedTestsError.exit_code
# Where the probes are mounted in containers. Every image has this folder; a rootless runsc cannot
# create one in a root that belongs to another user.
PROBES_MOUNT = "/mnt"

Log = Callable[[str], None]


@dataclass(frozen=True)
class Command:
    """A command: its name, a summary, example arguments, and two functions.

    `add_arguments` adds its options to a parser. `run` takes the parsed options, the checkout or
    kit, and a log; it returns the exit code and the text for standard output. With
    `takes_flags` all words after -- are the argument `flags`.
    """

    name: str
    summary: str
    example: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Path, Log], tuple[int, str]]
    takes_flags: bool = False
