"""The command `build.py --variant`.

Modules that build are imported late, so that `--print plan` starts fast.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from worker_images.build import plan, requirements
from worker_images.build.inputs import BUILDER
from worker_images.build.plan import ALL
from worker_images.build.requirements import ARCHITECTURES
from worker_images.cli import main, parsers
from worker_images.errors import UsageError
from worker_images.model import catalog, project
from worker_images.model.project import Project

if TYPE_CHECKING:
    from worker_images.build.jobs import Request

EXAMPLES = """\
other commands:
  ./build.py doctor [--json]                     check this machine; print a fix for each fault
  ./build.py engine start|stop|status|env        manage the project's private container engine
  ./build.py test [LAYER ...]                    run test layers; build the images they need
  ./build.py report [--json FILE] [--html FILE]  show the results of all tests
  ./build.py verify [--image IMAGE] [--node]     check an image or a node against the checklist
  ./build.py compat --driver VERSION ...         list the gVisor releases that serve these drivers
  ./build.py release --to REGISTRY/NAME ...      publish tested images; sign them; move tags last
  ./build.py verify-release REF                  check a release against its bytes and signatures
  ./build.py rollback --to VERSION ...           let floating tags name an earlier release
  ./build.py release-notes VERSION               print what a release holds as Markdown
  ./build.py release-key --output FILE           make a key pair for signing
  ./build.py gpu-kit [--variant VARIANT]         pack the workload tests and an image for a GPU node
  ./build.py update [--write]                    propose newer gVisor pins, with driver changes
  ./build.py lock [--check [--security]]         resolve all pins again; write versions.lock
  ./build.py accept [VARIANT ...]                after a change: build, test, write generated files
  ./build.py changes --base REVISION             compare Dockerfiles and sizes with a git revision
  ./build.py render [--check]                    write the Dockerfiles and versions.schema.json
  ./build.py fetch --into DIR                    download all locked files for an offline build

examples:
  ./build.py --variant slim                      build, test and tag worker:slim
  ./build.py --variant all                       build slim and full together; share common stages
  ./build.py --variant slim --print dockerfile   show the Dockerfile; build nothing
  ./build.py --variant slim --print bake > bake.json && docker buildx bake --file bake.json
  ./build.py --variant slim --tag registry.example/team/worker:1 --push
  ./build.py --variant slim --arch arm64         cross-compile for another architecture
  ./build.py --variant slim --cache-from registry.example/team/cache
  ./build.py --variant slim --offline DIR        build without a network, from fetch --into DIR
  eval "$(./build.py engine env)"                point docker in this shell at the private engine

exit codes: 0 ok, 2 usage or versions.yaml, 3 fetch, 4 engine or build, 5 a check failed,
6 registry, 7 a driver is not served, a security update is missing or a release is refused,
130 interrupted
"""


def _parser(root: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="build.py",
        usage="build.py --variant VARIANT [OPTION ...]\n       build.py COMMAND [OPTION ...]",
        description="Build a worker image from versions.yaml, test it, and tag it if it passes.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--variant",
        help="the variant to build: slim or full, a folder of images/; all builds every variant",
    )
    parser.add_argument(
        "--source",
        choices=("packages", "upstream"),
        help="package registries or upstream releases; default: the source in versions.yaml",
    )
    parsers.add_project(parser)
    parsers.add_versions(parser, root)
    _add_builder(parser)
    _add_caches(parser)
    _add_result(parser)
    return parser


def _add_builder(parser: argparse.ArgumentParser) -> None:
    """Add the options of how and where to build."""
    parser.add_argument(
        "--print",
        choices=("plan", "dockerfile", "bake"),
        dest="show",
        help="print the plan, the Dockerfile or a bake file and exit; bake also writes the context",
    )
    parser.add_argument(
        "--builder", metavar="NAME", help="the buildx builder to use; default: the engine's own"
    )
    parser.add_argument(
        "--arch",
        choices=ARCHITECTURES,
        default=BUILDER,
        dest="architecture",
        help="the architecture of the image; default: %(default)s",
    )
    parsers.add_compression(parser)
    parser.add_argument(
        "--offline",
        type=Path,
        metavar="DIR",
        help="use no network; read every input from a folder written by build.py fetch",
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="build every stage without the build cache"
    )


def _add_caches(parser: argparse.ArgumentParser) -> None:
    """Add the options of build caches in registries."""
    parser.add_argument(
        "--cache-from",
        metavar="REPOSITORY",
        help="take the results of unchanged steps from a registry, such as"
        " registry.example/team/cache",
    )
    parser.add_argument(
        "--cache-to",
        metavar="REPOSITORY",
        help="write the results of all steps to a registry, for --cache-from elsewhere",
    )


def _add_result(parser: argparse.ArgumentParser) -> None:
    """Add the options of what to do with the image."""
    parser.add_argument(
        "--tag", metavar="REF", help="the name for the tested image; default: worker:VARIANT"
    )
    parser.add_argument(
        "--push", action="store_true", help="push the tested image to the registry that --tag names"
    )
    parser.add_argument(
        "--no-test",
        action="store_false",
        dest="test",
        help="build and load the image; do not test or tag it",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _parse(argv: list[str], root: Path) -> argparse.Namespace:
    """The arguments. A misspelled option is reported before the missing --variant."""
    parser = _parser(root)
    arguments = parser.parse_args(argv)
    if arguments.variant is None:
        names = ", ".join((*catalog.load(root).buildable, ALL))
        parser.error(f"the following arguments are required: --variant; variants: {names}")
    return arguments


def build(argv: list[str], root: Path, progress: Callable[[str], None]) -> str:
    """Build, test and tag, or print the plan of the build; raises ImageBuildError."""
    arguments = _parse(argv, root)
    if arguments.variant == ALL and (arguments.tag or arguments.push):
        raise UsageError("--variant all: --tag and --push take one image; build one variant")
    loaded = project.load(root, arguments.versions)
    names = loaded.catalog.buildable if arguments.variant == ALL else (arguments.variant,)
    if arguments.show in {"plan", "dockerfile"}:
        return _printed(arguments, loaded, names)
    # These imports are slow, and printing a plan does not need them.
    from worker_images.build import bake, pipeline

    requests = [_request(arguments, name) for name in names]
    if arguments.show:
        return bake.bake_file(requests, loaded, progress)
    outcomes = pipeline.run(requests, loaded, progress)
    if not arguments.json:
        return "\n\n".join(main.summary(outcome) for outcome in outcomes)
    rows = [outcome.as_data() for outcome in outcomes]
    return json.dumps(rows if arguments.variant == ALL else rows[0], indent=1)


def _request(arguments: argparse.Namespace, variant: str) -> "Request":
    from worker_images.build.jobs import Request

    return Request(
        variant=variant,
        source=arguments.source,
        builder=arguments.builder,
        tag=arguments.tag,
        architecture=arguments.architecture,
        compression=arguments.compression,
        offline=arguments.offline,
        no_cache=arguments.no_cache,
        test=arguments.test,
        push=arguments.push,
        cache_from=arguments.cache_from,
        cache_to=arguments.cache_to,
    )


def _printed(arguments: argparse.Namespace, loaded: Project, names: Sequence[str]) -> str:
    """The plans, or the Dockerfiles, of variants."""
    locked = requirements.load(loaded)
    plans = [
        plan.make(loaded, locked, name, arguments.source, arguments.architecture) for name in names
    ]
    if arguments.show == "plan":
        rows = [planned.as_data() for planned in plans]
        return json.dumps(rows if len(rows) > 1 else rows[0], indent=1)
    from worker_images.build import render

    texts = [render.dockerfile(planned, loaded.root) for planned in plans]
    return "\n".join(texts).removesuffix("\n")
