"""What the commands print, and the exit codes that their errors become.

build.py and python3 -m worker_images.node share it: nothing else prints.
"""

import contextlib
import sys
from collections.abc import Callable

from worker_images.errors import EngineError, ImageBuildError, InterruptedBuildError


def main(program: str, work: Callable[[], tuple[int, str]], interrupted: str) -> int:
    """Do the work, print its text, and return its exit code, or that of its error."""
    try:
        status, text = work()
        _print(text)
    except ImageBuildError as error:
        _print(error.output)
        _complain(f"{program}: {error}" if "\n" not in str(error) else str(error))
        return error.exit_code
    except BrokenPipeError:
        return 1
    except OSError as error:
        where = error.filename or "standard output"
        _complain(f"{program}: {where}: {error.strerror or error}; fix this and retry")
        return EngineError.exit_code
    except KeyboardInterrupt:
        _complain(f"{program}: {interrupted}")
        return InterruptedBuildError.exit_code
    return status


def print_progress(text: str) -> None:
    """One line of progress, beside the result.

    A reader who is gone, or a full disk, does not end the work.
    """
    with contextlib.suppress(OSError):
        print(f"» {text}", file=sys.stderr, flush=True)


def _print(text: str) -> None:
    print(text, end="\n" if text else "", flush=True)


def _complain(text: str) -> None:
    print(text, file=sys.stderr)
