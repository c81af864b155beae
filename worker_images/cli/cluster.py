"""The command `build.py cluster`."""

import shlex
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from worker_images.build import pipeline
from worker_images.build.go_programs import Parts
from worker_images.build.jobs import Request
from worker_images.build.tars import Progress
from worker_images.cli import parsers
from worker_images.cluster import export
from worker_images.cluster.cluster import Cluster, of_machine
from worker_images.cluster.settings import CONTEXT
from worker_images.errors import EngineError, UsageError
from worker_images.files import check_cache
from worker_images.node.stand_in import DRIVER

OWN_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
EXAMPLES = """\
examples:
  ./build.py cluster start              build both images, start one node; needs root
  ./build.py cluster status             print how to reach it; exit 4 if it is not running
  eval "$(./build.py cluster env)"      use it with kubectl in this shell
  ./build.py cluster stop               end it and remove its data
  ./build.py cluster export --into DIR  write archives that start it on a machine without a network

The first start compiles Kubernetes from its Go modules: about 6 minutes on 2 cores.

exit codes: 0 ok, 2 usage, 3 fetch, 4 engine, build or cluster, 5 an image failed its tests
"""


def command(argv: list[str], root: Path, progress: Progress) -> str:
    """Start, stop, describe or export the private Kubernetes cluster."""
    arguments = _parser().parse_args(argv)
    check_cache()
    if arguments.action == "export":
        return _export(arguments, root, progress)
    cluster = Cluster(root)
    if arguments.action == "stop":
        cluster.stop()
        return "stopped"
    if arguments.action == "start":
        _start(cluster, arguments, root, progress)
    if not cluster.running:
        raise EngineError("the cluster is not running; run: ./build.py cluster start")
    if arguments.action == "env":
        folder = shlex.quote(str(cluster.kubectl.parent))
        return (
            f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}\n"
            f'export PATH={folder}:"$PATH"'
        )
    return f"running: kubectl --kubeconfig={cluster.kubeconfig} --context={CONTEXT}"


def _parser() -> ArgumentParser:
    parser = parsers.of_command(
        "cluster",
        "Manage a Kubernetes cluster of one node on this machine, for tests.",
        EXAMPLES,
    )
    parser.add_argument(
        "action",
        choices=("start", "stop", "status", "env", "export"),
        help="env prints the settings of kubectl as shell commands; export writes archives for"
        " another machine: docs/layers.md",
    )
    parser.add_argument(
        "--driver",
        metavar="VERSION",
        help=f"without a GPU: the driver that the node reports; default: {DRIVER}",
    )
    parser.add_argument(
        "--as-built",
        action="store_true",
        help="use the images of out/ as they are; this needs no engine",
    )
    parser.add_argument("--into", type=Path, metavar="DIR", help="export: the archives' folder")
    parser.add_argument(
        "--python",
        default=OWN_PYTHON,
        metavar="VERSION",
        help="export: the version of the other machine's Python; default: %(default)s",
    )
    return parser


def _start(cluster: Cluster, arguments: Namespace, root: Path, progress: Progress) -> None:
    own = Parts.of(root)
    if not arguments.as_built:
        _build(own, progress)
    cluster.start(own, progress, of_machine(arguments.driver))


def _build(own: Parts, progress: Progress) -> None:
    requests = [Request(name) for name in own.project.catalog.buildable]
    pipeline.run(requests, own.project, progress)


def _export(arguments: Namespace, root: Path, progress: Progress) -> str:
    if not arguments.into:
        raise UsageError("export writes archives; name a folder for them with --into DIR")
    own = Parts.of(root)
    if not arguments.as_built:
        _build(own, progress)
    written = export.write(root, own, arguments.into, arguments.python, progress)
    sizes = [f"{path}  {path.stat().st_size / 1e6:.1f} MB" for path in written]
    return "\n".join([*sizes, "they contain a key that seals test reports: keep them private"])
