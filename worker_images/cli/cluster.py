"""The command `build.py cluster`."""

import shlex
from pathlib import Path

from worker_images.build import pipeline
from worker_images.build.go_programs import Parts
from worker_images.build.jobs import Request
from worker_images.build.tars import Progress
from worker_images.cli import parsers
from worker_images.cluster.cluster import Cluster, of_machine
from worker_images.cluster.settings import CONTEXT
from worker_images.errors import EngineError
from worker_images.files import check_cache
from worker_images.node.stand_in import DRIVER

EXAMPLES = """\
examples:
  ./build.py cluster start              build both images, start one node; needs root
  ./build.py cluster status             print how to reach it; exit 4 if it is not running
  eval "$(./build.py cluster env)"      use it with kubectl in this shell
  ./build.py cluster stop               end it and remove its data

The first start compiles Kubernetes from its Go modules: about 6 minutes on 2 cores.

exit codes: 0 ok, 2 usage, 3 fetch, 4 engine, build or cluster, 5 an image failed its tests
"""


def command(argv: list[str], root: Path, progress: Progress) -> str:
    """Start, stop or describe the private Kubernetes cluster."""
    parser = parsers.of_command(
        "cluster",
        "Manage a Kubernetes cluster of one node on this machine, for tests.",
        EXAMPLES,
    )
    parser.add_argument(
        "action",
        choices=("start", "stop", "status", "env"),
        help="env prints the settings of kubectl as shell commands",
    )
    parser.add_argument(
        "--driver",
        metavar="VERSION",
        help=f"without a GPU: the driver that the node reports; default: {DRIVER}",
    )
    arguments = parser.parse_args(argv)
    check_cache()
    cluster = Cluster(root)
    if arguments.action == "stop":
        cluster.stop()
        return "stopped"
    if arguments.action == "start":
        own = Parts.of(root)
        requests = [Request(name) for name in own.project.catalog.buildable]
        pipeline.run(requests, own.project, progress)
        cluster.start(own, progress, of_machine(arguments.driver))
    if not cluster.running:
        raise EngineError("the cluster is not running; run: ./build.py cluster start")
    if arguments.action == "env":
        folder = shlex.quote(str(cluster.kubectl.parent))
        return (
            f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}\n"
            f'export PATH={folder}:"$PATH"'
        )
    return f"running: kubectl --kubeconfig={cluster.kubeconfig} --context={CONTEXT}"
