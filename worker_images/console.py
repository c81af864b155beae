"""Output and exit codes of commands.

Shared by build.py and python3 -m worker_images.node; no other module prints. Texts contain names
and output of images, nodes and logs. Control characters are escaped.
"""

import codecs
import contextlib
import io
import sys
from collections.abc import Callable

from worker_images.errors import EngineError, ImageBuildError, InterruptedBuildError
from worker_images.untrusted import printable

# For streams that cannot encode them.
PLAIN = {"→": "->", "✓": "+", "✗": "x", "○": "-", "»": ">", "…": "..."}


def _in_plain(error: UnicodeError) -> tuple[str, int]:
    """Replace what a stream cannot encode; other errors are raised again."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in text), error.end


codecs.register_error("plain", _in_plain)


def main(program: str, work: Callable[[], tuple[int, str]], interrupted: str) -> int:
    """Do the work, print its text, and return its exit code or that of its error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")
    try:
        status, text = work()
        _print(text)
    except ImageBuildError as error:
        _print(error.output)
        _print_error(f"{program}: {error}" if "\n" not in str(error) else str(error))
        return error.exit_code
    except BrokenPipeError:
        return 1
    except OSError as error:
        where = error.filename or "standard output"
        _print_error(f"{program}: {where}: {error.strerror or error}; fix this and retry")
        return EngineError.exit_code
    except KeyboardInterrupt:
        _print_error(f"{program}: {interrupted}")
        return InterruptedBuildError.exit_code
    return status


def print_progress(text: str) -> None:
    """Print one line of progress to standard error.

    A closed pipe or a full disk does not end the work.
    """
    with contextlib.suppress(OSError):
        print(f"» {printable(text)}", file=sys.stderr, flush=True)


def _print(text: str) -> None:
    print(printable(text), end="\n" if text else "", flush=True)


def _print_error(text: str) -> None:
    print(printable(text), file=sys.stderr)
