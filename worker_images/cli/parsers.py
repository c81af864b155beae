"""What the parsers of commands have in common."""

import argparse
from pathlib import Path
from typing import get_args

from worker_images.cli.projects import OPTION
from worker_images.model.oci.inflate import Compression


def of_command(name: str, description: str, examples: str = "") -> argparse.ArgumentParser:
    """The parser of `build.py NAME`, whose help ends with the examples."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog=f"build.py {name}", description=description, epilog=examples, formatter_class=formatter
    )
    add_project(parser)
    return parser


def add_project(parser: argparse.ArgumentParser) -> None:
    """Add the option --project to the help; `main` takes it from the command line before."""
    parser.add_argument(
        OPTION,
        type=_shortened,
        default=argparse.SUPPRESS,
        metavar="DIR",
        help="work on the project in DIR instead of the checkout: docs/projects.md",
    )


def _shortened(_: str) -> str:
    raise argparse.ArgumentTypeError(f"write {OPTION} in full")


def add_versions(
    parser: argparse.ArgumentParser, root: Path, verb: str = "read the pins from"
) -> None:
    """Add the option that names other pins."""
    parser.add_argument(
        "--versions",
        type=lambda name: Path(name).absolute(),
        metavar="FILE",
        default=root / "versions.yaml",
        help=f"{verb} FILE instead of versions.yaml",
    )


def add_compression(parser: argparse.ArgumentParser) -> None:
    """Add the option of how layers are compressed."""
    parser.add_argument(
        "--compression",
        choices=get_args(Compression),
        default="gzip",
        help="how the layers are compressed; the image ID is the same; default: %(default)s",
    )
