"""The options of the command verify."""

import argparse
import shutil
from pathlib import Path

from worker_images.node import trust

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
    parser.add_argument(
        "--python",
        default=shutil.which("python3"),
        help="the user's python; some rows need torch in it",
    )
    parser.add_argument(
        "--results",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="take the results of tests that ran before from image.xml, pod.xml and workload.xml in"
        " this folder, which select their rows; may be repeated",
    )
    trust.add_argument(parser)
    trust.add_project(parser)
    _add_pod(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="also write the results as an HTML page"
    )


def _add_pod(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a pod of a cluster."""
    parser.add_argument(
        "--context",
        metavar="CTX",
        help="check a pod in the cluster of this kubectl context",
    )
    parser.add_argument(
        "--namespace", default="default", metavar="N", help="the pod's namespace; default: default"
    )
    parser.add_argument(
        "--pod",
        default="worker",
        metavar="P",
        help="the pod, or what creates it, such as deployment/worker; default: worker",
    )
    parser.add_argument(
        "--container",
        default="",
        metavar="C",
        help="the container; default: the one that requests a GPU",
    )
    parser.add_argument(
        "--kubeconfig", default="", metavar="FILE", help="the file with the context"
    )
    parser.add_argument(
        "--kubectl",
        default="kubectl",
        metavar="PATH",
        help="the kubectl binary; default: kubectl on PATH",
    )
    parser.add_argument(
        "--stand-in",
        action="store_true",
        help="the pod's devices have no driver behind them, as in the cluster of make cluster",
    )
