"""The options of the command verify."""

import argparse
from pathlib import Path

from worker_images.node import trust
from worker_images.node.options import add_python
from worker_images.node.pod import options as pods

IMAGE = "out/slim/image.tar"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--image",
        metavar="FILE|FOLDER|REF",
        help=f"an image archive, an unpacked root, or an image in an engine; default: {IMAGE}",
    )
    parser.add_argument(
        "--driver",
        action="append",
        default=[],
        metavar="VERSION",
        help="the driver version of a node; may be repeated",
    )
    parser.add_argument(
        "--node",
        action="store_true",
        help="also check this machine: the pod's rows, and CUDA in sandboxes of the image's runsc",
    )
    add_python(parser, "; some rows need torch in it")
    _add_results(parser)
    trust.add_argument(parser)
    trust.add_project(parser)
    pods.add_arguments(parser)
    parser.add_argument(
        "--stand-in",
        action="store_true",
        help="the pod's devices have no driver behind them, as in the cluster of make cluster",
    )


def _add_results(parser: argparse.ArgumentParser) -> None:
    """Add the results that are read, and those that are written."""
    parser.add_argument(
        "--results",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="take the results of tests that ran before from image.xml, pod.xml and workload.xml:"
        " one of these files, or a folder with them; this selects their rows; may be repeated",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="also write the results as an HTML page"
    )
