"""The command verify."""

import argparse
from pathlib import Path

from worker_images.node.command import Command, Log
from worker_images.node.verify import verify


def _verify(given: argparse.Namespace, root: Path, log: Log) -> tuple[int, str]:
    text, status = verify.main(given, root, log)
    return status, text


COMMANDS = (
    Command(
        "verify",
        "answer the requirements' whole checklist: each check, what it is worth, ours, and what was"
        " found",
        "--image out/slim/image.tar --node",
        verify.arguments,
        _verify,
    ),
)
