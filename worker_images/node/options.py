"""The options that several commands have, and the types of their values."""

import argparse
import shutil
from pathlib import Path


def absolute(text: str) -> Path:
    """Parse an absolute path; OCI resolves a relative one against the bundle."""
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with /")
    return Path("/", text.lstrip("/"))


def _host(text: str) -> str:
    return str(absolute(text)).rstrip("/") if text else ""


def _program(text: str) -> str:
    """Return a program's path; a sandbox has another PATH than this command."""
    return shutil.which(text) or text


def add_host(parser: argparse.ArgumentParser) -> None:
    """Add the option for a worker that has the node's root in a folder."""
    parser.add_argument(
        "--host",
        type=_host,
        default="",
        metavar="FOLDER",
        help="the path of the node's root as runsc sees it, if runsc runs in a container",
    )


def add_python(parser: argparse.ArgumentParser, needs: str) -> None:
    """Add the option for the user's python; `needs` says which modules it has."""
    parser.add_argument(
        "--python",
        type=_program,
        default=shutil.which("python3"),
        help=f"the user's python{needs}; default: python3 on PATH",
    )
