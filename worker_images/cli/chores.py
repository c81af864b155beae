"""The commands `build.py accept`, `engine`, `render` and `test`."""

import shlex
from pathlib import Path

from worker_images.build import accept as accepting
from worker_images.build import generated, provision, requirements, suites
from worker_images.build.inputs import BUILDER
from worker_images.build.requirements import ARCHITECTURES
from worker_images.build.tars import Progress
from worker_images.cli import parsers
from worker_images.engine.endpoint import PrivateEngine, has_buildx, locate
from worker_images.errors import FailedTestsError
from worker_images.fetch.store import Store
from worker_images.files import check_cache
from worker_images.model import project
from worker_images.model.tree import Tree
from worker_images.report import report

ENGINE_EXAMPLES = """\
examples:
  ./build.py engine start               install and start it; needs root
  ./build.py engine status              print its address; exit 4 if it is not running
  eval "$(./build.py engine env)"       point docker in this shell at it
"""
TEST_EXAMPLES = """\
examples:
  ./build.py test                        run the default layers, as `make test` does
  ./build.py test image workload         run two layers
  ./build.py test image --variant slim   test one variant
  make test-mutation                     same as ./build.py test mutation

exit codes: 0 ok, 4 engine or build, 5 a test failed; others: ./build.py --help
"""
ACCEPT_EXAMPLES = """\
examples:
  ./build.py accept                      after changing pins, templates or packages
  ./build.py accept slim --arch arm64    for an image of another architecture

exit codes: 0 ok, 5 an image failed its tests and the ledger is unchanged; others:
./build.py --help
"""


def engine(argv: list[str], root: Path, progress: Progress) -> str:
    """Start, stop or describe the private container engine."""
    parser = parsers.of_command(
        "engine",
        "Manage the private container engine, for machines without Docker.",
        ENGINE_EXAMPLES,
    )
    parser.add_argument(
        "action",
        choices=("start", "stop", "status", "env"),
        help="env prints the engine's settings as shell commands",
    )
    action = parser.parse_args(argv).action
    check_cache()
    private = PrivateEngine(Tree(root).checkout)
    if action == "stop":
        return private.run("stop") or "stopped"
    if action == "start":
        loaded = project.load(root)
        locked = requirements.load(loaded)
        endpoint = provision.ensure_engine(loaded, locked, Store(), None, progress).endpoint
        return f"running: {endpoint.host}"
    found = locate(private)
    if found is None:
        return private.run("status")
    if action == "status":
        return f"running: {found.host}"
    clients = "" if has_buildx() else f'\nexport PATH={shlex.quote(str(private.client))}:"$PATH"'
    settings = "\n".join(
        f"export {name}={shlex.quote(value)}" for name, value in found.address.environment.items()
    )
    return f"{settings}{clients}"


def render(argv: list[str], root: Path, _: Progress) -> str:
    """Write or check the committed generated files."""
    parser = parsers.of_command(
        "render", "Render the committed Dockerfiles and versions.schema.json."
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit 2 if a file differs from its source",
    )
    check = parser.parse_args(argv).check
    return "\n".join(generated.write(project.load(root), check=check))


def test(argv: list[str], root: Path, progress: Progress) -> str:
    """Run test layers and return their results."""
    parser = parsers.of_command(
        "test",
        "Run test layers. Builds the images that a layer needs first.",
        TEST_EXAMPLES,
    )
    parser.add_argument(
        "layers",
        nargs="*",
        metavar="LAYER",
        help=f"the layers to run; default: {', '.join(suites.COMMON)}",
    )
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="VARIANT",
        help="in layers that test every variant, test only this one; may be repeated",
    )
    arguments = parser.parse_args(argv)
    loaded = project.load(root)
    names = tuple(dict.fromkeys(arguments.layers)) or suites.default(loaded)
    try:
        suites.run(loaded, names, progress, tuple(arguments.variant))
    except FailedTestsError as error:
        raise FailedTestsError(str(error), report.text(report.read(loaded))) from error
    return report.text(report.read(loaded))


def accept(argv: list[str], root: Path, progress: Progress) -> str:
    """Build and test the images, then write the ledger and the generated files."""
    parser = parsers.of_command(
        "accept",
        (
            "Resolve what is missing in versions.lock, render the committed files, build and test"
            " the images,\nthen write images/ledger.json and the documents. Prints the differences"
            " for review."
        ),
        ACCEPT_EXAMPLES,
    )
    parser.add_argument(
        "variants", nargs="*", metavar="VARIANT", help="the variants to build; default: all"
    )
    parser.add_argument(
        "--arch",
        choices=ARCHITECTURES,
        default=BUILDER,
        help="the architecture of the images; default: %(default)s",
    )
    arguments = parser.parse_args(argv)
    check_cache()
    loaded = project.load(root)
    variants = tuple(dict.fromkeys(arguments.variants)) or loaded.catalog.buildable
    lines = accepting.accept(loaded, variants, arguments.arch, progress)
    return "\n".join(lines) or "nothing changed"
