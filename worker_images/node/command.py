"""What a command of worker_images.node is."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from worker_images.errors import FailedTestsError, UsageError

OK, USAGE, REFUSED = 0, UsageError.exit_code, FailedTestsError.exit_code
# Where containers have them: a folder that every image has, for a rootless runsc cannot make one in
# a root that is another's.
INSIDE = "/mnt"

Log = Callable[[str], None]


@dataclass(frozen=True)
class Command:
    """Its name, what it does in words, an example, its options, and the work: exit code and text
    for standard output.
    """

    name: str
    words: str
    example: str
    describe: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Path, Log], tuple[int, str]]
