"""The command restores: measures what a restored sandbox saves, compared with a start."""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from worker_images.errors import UsageError
from worker_images.files import PROBES
from worker_images.node import node, place, trust
from worker_images.node.command import CHECK_FAILED, OK, PROBES_MOUNT, Command, Log
from worker_images.node.measure import page_cache, proof, restore_rows, restores
from worker_images.node.measure.model_runs import Setup
from worker_images.node.measure.native import native_command
from worker_images.node.measure.restore_rows import Report
from worker_images.node.node import Node
from worker_images.node.options import add_python
from worker_images.node.spec import CHECKPOINT
from worker_images.node.unpack import open_root

MODELS = {
    "tiny": "20 million parameters, for a trial",
    "1b": "1.1 billion, 2.2 GB",
    "5b": "5.5 billion, 11 GB",
}
# What the program of the model needs.
IMPORTS = "import torch, transformers"
# The start of a program whose modules are not compiled yet takes twice as long.
BYTECODE = """
import importlib.util, os
print(os.path.exists(importlib.util.find_spec("transformers").cached))
"""
# Takes memory off GPUs where the image does not contain gpu-checkpoint.
PROBE = "cuda_checkpoint.py"
PROGRAM = "python3 -m worker_images.node restores"
EXAMPLES = f"""--image image.tar --model 1b --huge-pages --results results
  {PROGRAM} --image image.tar --model 5b --huge-pages --results results \\
    --rounds 3 --at-once 0 --no-compression --starts 1"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image", type=Path, required=True, help="an image archive or its unpacked root"
    )
    models = ", ".join(f"{name} ({text})" for name, text in MODELS.items())
    parser.add_argument(
        "--model",
        choices=MODELS,
        required=True,
        help=f"a language model with random weights: {models}",
    )
    parser.add_argument(
        "--results",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="the folder for restores-MODEL.json, which is written again after each figure",
    )
    _add_counts(parser)
    parser.add_argument(
        "--no-compression", action="store_true", help="leave out the compressed checkpoint"
    )
    parser.add_argument(
        "--huge-pages",
        action="store_true",
        help="set this machine so that runsc gets huge pages while it is measured, and measure"
        " restores without them too",
    )
    add_python(parser, ", which has torch and transformers")
    parser.add_argument(
        "--scratch",
        type=Path,
        metavar="FOLDER",
        help="a folder on a disk for the model and its checkpoints, with 5 to 45 GB free; default:"
        " the system's folder for temporary files",
    )
    trust.add_argument(parser)
    trust.add_project(parser)


def _add_counts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rounds",
        type=int,
        default=10,
        metavar="N",
        help="checkpoints and restores in a row; default: 10",
    )
    parser.add_argument(
        "--at-once",
        type=int,
        default=8,
        metavar="N",
        help="restores of one checkpoint at once; 0 leaves them out; default: 8",
    )
    parser.add_argument(
        "--starts",
        type=int,
        default=2,
        metavar="N",
        help="starts on the node and in a sandbox, each with the page cache warm and cold;"
        " default: 2",
    )
    parser.add_argument(
        "--seconds",
        type=int,
        default=540,
        metavar="N",
        help="begin no further part after so many seconds; default: 540",
    )


def _restores(arguments: argparse.Namespace, root: Path, log: Log) -> tuple[int, str]:
    this_node = node.read()
    python = arguments.python or "python3"
    if place.run_command(native_command(this_node, python, "-c", IMPORTS)).status:
        raise UsageError(
            f"{arguments.python} has no torch or no transformers; name one that has with --python"
        )
    with tempfile.TemporaryDirectory(prefix="restores-", dir=arguments.scratch) as scratch:
        folder = Path(scratch)
        folder.chmod(0o711)
        (folder / "image").mkdir()
        image_root, image_id = open_root(arguments.image, folder / "image")
        home: Path = arguments.project or root
        trust.require(home, str(arguments.image), image_id, trust=arguments.trust)
        log(f"programs of {arguments.image} run as root on this machine")
        setup = _setup(arguments, root, this_node, image_root, folder)
        report = Report(
            arguments.results / f"{restore_rows.PREFIX}{arguments.model}.json",
            {**_facts(setup, f"{image_root}{place.RUNSC}"), "image": image_id},
        )
        restores.measure(setup, report, log)
    found = json.loads(report.path.read_text(encoding="utf-8"))
    return CHECK_FAILED if report.problems else OK, restore_rows.text(found)


def _facts(setup: Setup, runsc: str) -> dict[str, Any]:
    """Return what is known before the first figure."""
    command = ["python3", "-m", "worker_images.node", *sys.argv[1:]]
    machine = proof.machine(setup.node, setup.python, runsc, command)
    return machine | {
        # The model uses the first GPU only.
        "gpus": machine["gpus"][:1],
        "model": setup.size,
        "program": setup.program or "none",
        "bytecode": has_bytecode(setup),
        "file_system": page_cache.file_system(setup.folder),
    }


def has_bytecode(setup: Setup) -> bool:
    """Report if the modules of the user's python are compiled, if it can write there."""
    found = place.run_command(native_command(setup.node, setup.python, "-c", BYTECODE))
    return found.output.strip() == "True"


def _setup(
    arguments: argparse.Namespace, root: Path, this_node: Node, image_root: Path, folder: Path
) -> Setup:
    probes = root / PROBES
    inside = image_root / CHECKPOINT[1:]
    has_program, has_gpu = inside.is_file(), bool(this_node.driver)
    program_on_node = (str(inside),) if has_program else (arguments.python, str(probes / PROBE))
    on_node = native_command(this_node, *program_on_node)
    program = CHECKPOINT if has_program else f"{PROBES_MOUNT}/{PROBE}"
    return Setup(
        place.Chroot(image_root),
        this_node,
        arguments.python,
        probes,
        folder,
        arguments.model,
        program if has_gpu else "",
        Path(CHECKPOINT) if has_program and has_gpu else None,
        tuple(on_node) if has_gpu else (),
        () if has_gpu else ("--nvproxy=false",),
        arguments.rounds,
        arguments.at_once,
        arguments.starts,
        not arguments.no_compression,
        arguments.huge_pages,
        arguments.seconds,
    )


COMMAND = Command(
    "restores",
    "measure starts, checkpoints and restores of a language model, on the node and in sandboxes",
    EXAMPLES,
    _add_arguments,
    _restores,
)
