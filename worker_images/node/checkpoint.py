"""How runsc saves and restores a container that uses GPUs."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from worker_images.errors import UsageError
from worker_images.node.options import absolute
from worker_images.node.spec import CHECKPOINT, Container

# The values of runsc's --compression.
NO_COMPRESSION, FAST_COMPRESSION = "none", "flate-best-speed"


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option of bundle."""
    parser.add_argument(
        "--checkpoint",
        type=absolute,
        nargs="?",
        const=Path(CHECKPOINT),
        metavar="FILE",
        help="mount gpu-checkpoint, and print the commands that save and restore the container;"
        f" default of FILE, as runsc sees it: {CHECKPOINT}",
    )


def check(container: Container, host: str) -> None:
    """Refuse a container that runsc cannot save; raises UsageError.

    With `host` runsc runs in another container, whose files cannot be read from here.
    """
    if not container.checkpoint:
        return
    if container.network == "host":
        raise UsageError(
            "--checkpoint: runsc saves no sandbox with --network host; use none, or a network"
            " namespace"
        )
    if not host and not container.checkpoint.is_file():
        raise UsageError(
            f"--checkpoint: {container.checkpoint} does not exist; use a worker image that holds"
            " gpu-checkpoint, such as full, or name the file: --checkpoint=FILE"
        )


def save(
    image: str, program: str = CHECKPOINT, compression: str = NO_COMPRESSION
) -> tuple[str, ...]:
    """Return runsc's command, without the container's name, that saves it in a folder.

    Each checkpoint needs a folder of its own: runsc replaces no file. With an empty `program` only
    containers without GPUs can be saved.
    """
    memory = (f"--cuda-checkpoint-path={program}",) if program else ()
    return ("checkpoint", *memory, f"--image-path={image}", f"--compression={compression}")


def restore(
    image: str, bundle: str, options: Sequence[str] = ("--detach", "--background")
) -> tuple[str, ...]:
    """Return runsc's command, without the new container's name, that restores a checkpoint.

    With `--background` the container continues while runsc still reads a checkpoint that is not
    compressed.
    """
    return ("restore", *options, f"--bundle={bundle}", f"--image-path={image}")
