"""`build.py accept`, `engine`, `render` and `test`: arguments to the text of an answer."""

import argparse
import shlex
from pathlib import Path

from worker_images.build import accept as accepting
from worker_images.build import generated, provision, requirements, suites
from worker_images.build.inputs import BUILDER
from worker_images.build.requirements import ARCHITECTURES
from worker_images.build.tars import Progress
from worker_images.engine.endpoint import PrivateEngine, has_buildx, locate
from worker_images.errors import FailedTestsError
from worker_images.fetch.store import Store
from worker_images.files import check_cache
from worker_images.model import project
from worker_images.report import report

TEST_EXAMPLES = """\
examples:
  ./build.py test                    the layers of `make test`
  ./build.py test image workload     these two
  ./build.py test image --variant slim
  make test-mutation                 the same as ./build.py test mutation

exit codes: 0 ok, 4 engine or build, 5 a test failed; the others as those of a build
"""
ACCEPT_EXAMPLES = """\
examples:
  ./build.py accept                  after a change of pins, templates or packages
  ./build.py accept slim --arch arm64    the same for an image of another architecture

exit codes: as those of a build; 5 where an image fails its tests: the ledger is unchanged then
"""


def engine(argv: list[str], root: Path, progress: Progress) -> str:
    """Start, stop or describe the private engine."""
    parser = argparse.ArgumentParser(
        prog="build.py engine",
        description="The private container engine of a machine that has none.",
    )
    parser.add_argument(
        "action", choices=("start", "stop", "status", "env"), help="env prints shell lines for eval"
    )
    action = parser.parse_args(argv).action
    check_cache()
    private = PrivateEngine(root)
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
    """Write or check every committed file that is rendered."""
    parser = argparse.ArgumentParser(
        prog="build.py render",
        description="Write the committed Dockerfiles and versions.schema.json.",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing; exit 2 where a file is not what its source says",
    )
    check = parser.parse_args(argv).check
    return "\n".join(generated.write(project.load(root), check=check))


def test(argv: list[str], root: Path, progress: Progress) -> str:
    """Run test layers and say what they came to."""
    parser = argparse.ArgumentParser(
        prog="build.py test",
        description="Run test layers, each after the images that it needs are built.",
        epilog=TEST_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "layers",
        nargs="*",
        metavar="LAYER",
        help=f"default: {', '.join(suites.COMMON)}",
    )
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="NAME",
        help="test this one only, where a layer tests every variant; may be repeated",
    )
    given = parser.parse_args(argv)
    names = tuple(dict.fromkeys(given.layers)) or suites.COMMON
    try:
        suites.run(project.load(root), names, progress, tuple(given.variant))
    except FailedTestsError as error:
        raise FailedTestsError(str(error), report.text(report.read(root))) from error
    return report.text(report.read(root))


def accept(argv: list[str], root: Path, progress: Progress) -> str:
    """Take what a change means, once the images pass."""
    parser = argparse.ArgumentParser(
        prog="build.py accept",
        description=(
            "Resolve what versions.lock lacks, render the committed files, build and test the"
            " images, then write images/ledger.json and the documents. Prints the differences: they"
            " are the review."
        ),
        epilog=ACCEPT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "variants", nargs="*", metavar="VARIANT", help="default: every variant that can be built"
    )
    parser.add_argument(
        "--arch", choices=ARCHITECTURES, default=BUILDER, help="default: %(default)s"
    )
    given = parser.parse_args(argv)
    check_cache()
    loaded = project.load(root)
    variants = tuple(dict.fromkeys(given.variants)) or loaded.catalog.buildable
    lines = accepting.accept(loaded, variants, given.arch, progress)
    return "\n".join(lines) or "nothing changed"
