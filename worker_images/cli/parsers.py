"""What the parsers of commands have in common."""

import argparse
from pathlib import Path
from typing import get_args

from worker_images.model.oci.inflate import Compression


def of_command(name: str, description: str, examples: str) -> argparse.ArgumentParser:
    """The parser of `build.py NAME`, whose help ends with the examples."""
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(
        prog=f"build.py {name}", description=description, epilog=examples, formatter_class=formatter
    )


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
