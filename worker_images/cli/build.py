"""`build.py --variant`: arguments to the text of an answer. What only shows a plan does not wait
for what builds to be imported.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from worker_images.build import plan, requirements
from worker_images.build.inputs import BUILDER
from worker_images.build.plan import ALL
from worker_images.build.requirements import ARCHITECTURES
from worker_images.cli import main
from worker_images.errors import UsageError
from worker_images.model import project

EXAMPLES = """\
commands:
  ./build.py doctor [--json]                     what this machine lacks, with the fixes
  ./build.py compat --driver VERSION ...         which gVisor releases serve these NVIDIA drivers
  ./build.py engine start|stop|status|env        the private engine of a machine that has none
  ./build.py test [LAYER ...]                    test layers; builds what is missing
  ./build.py lock [--check]                      resolve all pins again
  ./build.py accept [VARIANT ...]                after a change: write what it means
  ./build.py fetch --into DIR                    all that the lock names, to build without a network
  ./build.py update [--write [COMPONENT ...]]    newer pins, and what they would mean for the fleet
  ./build.py render [--check]                    the committed Dockerfiles and versions.schema.json
  ./build.py report [--json FILE] [--html FILE]  what all tests came to
  ./build.py gpu-kit [--variant NAME]            the workload tests and an image, for a GPU node

examples:
  ./build.py --variant slim                      build, test and tag worker:slim
  ./build.py --variant all                       build slim and full at once, what they share once
  ./build.py --variant slim --print dockerfile   show what would be built
  ./build.py --variant slim --print bake > bake.json && docker buildx bake --file bake.json
  ./build.py --variant slim --tag registry.example/team/worker:1 --push
  ./build.py --variant slim --arch arm64         for another architecture, compiled here
  ./build.py --variant slim --offline DIR        without a network, from a folder of fetch --into
  eval "$(./build.py engine env)"                a shell whose docker is that engine

exit codes: 0 ok, 2 usage or versions.yaml, 3 fetch, 4 engine or build, 5 a check failed,
6 registry, 7 a driver of the fleet is not served, 130 interrupted
"""


def _parser(root: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="build.py",
        description="Build a worker image from versions.yaml, test it, and tag it if it passes.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--variant",
        required=True,
        help="a folder of images/ with a variant.yaml: slim, full; or all: every one at once",
    )
    parser.add_argument(
        "--source",
        choices=("packages", "upstream"),
        help="where parts come from; default: versions.yaml",
    )
    _add_versions(parser, root)
    _add_builder(parser)
    _add_result(parser)
    return parser


def _add_builder(parser: argparse.ArgumentParser) -> None:
    """What the build does, and where."""
    parser.add_argument(
        "--print",
        choices=("plan", "dockerfile", "bake"),
        dest="show",
        help="show it and stop; bake also lays out the context that its file reads",
    )
    parser.add_argument(
        "--builder", metavar="NAME", help="a buildx builder; default: the engine's own"
    )
    parser.add_argument(
        "--arch",
        choices=ARCHITECTURES,
        default=BUILDER,
        dest="architecture",
        help="default: %(default)s",
    )
    parser.add_argument(
        "--offline",
        type=Path,
        metavar="DIR",
        help="take every input from a folder that build.py fetch filled; no network",
    )
    parser.add_argument("--no-cache", action="store_true", help="build every stage again")


def _add_result(parser: argparse.ArgumentParser) -> None:
    """What becomes of the image."""
    parser.add_argument(
        "--tag", metavar="REF", help="name of the tested image; default: worker:VARIANT"
    )
    parser.add_argument(
        "--push", action="store_true", help="push the tested image to the registry that --tag names"
    )
    parser.add_argument(
        "--no-test",
        action="store_false",
        dest="test",
        help="build and load only; test and tag nothing",
    )
    parser.add_argument("--json", action="store_true", help="the result as JSON on standard output")


def _add_versions(parser: argparse.ArgumentParser, root: Path) -> None:
    parser.add_argument(
        "--versions",
        type=lambda name: Path(name).absolute(),
        metavar="FILE",
        help="pins to use instead of versions.yaml",
    )
    parser.set_defaults(versions=root / "versions.yaml")


def build(argv: list[str], root: Path, progress: Callable[[str], None]) -> str:
    """Build, test and tag, or show what would be built; raises ImageBuildError."""
    arguments = vars(_parser(root).parse_args(argv))
    show, as_json, variant = arguments.pop("show"), arguments.pop("json"), arguments["variant"]
    if variant == ALL and (arguments["tag"] or arguments["push"]):
        raise UsageError("--variant all: --tag and --push name one image; build one variant")
    loaded = project.load(root, arguments.pop("versions"))
    names = loaded.catalog.buildable if variant == ALL else (variant,)
    if show in {"plan", "dockerfile"}:
        source, architecture = arguments["source"], arguments["architecture"]
        locked = requirements.load(loaded)
        plans = [plan.make(loaded, locked, name, source, architecture) for name in names]
        return _shown(show, plans, root)
    # Slow to import, and not needed to show a plan.
    from worker_images.build import bake, pipeline
    from worker_images.build.jobs import Request

    requests = [Request(**(arguments | {"variant": name})) for name in names]
    if show:
        return bake.bake_file(requests, loaded, progress)
    outcomes = pipeline.run(requests, loaded, progress)
    if not as_json:
        return "\n\n".join(main.summary(outcome) for outcome in outcomes)
    rows = [outcome.as_data() for outcome in outcomes]
    return json.dumps(rows if variant == ALL else rows[0], indent=1)


def _shown(what: str, plans: list[plan.Plan], root: Path) -> str:
    if what == "plan":
        rows = [planned.as_data() for planned in plans]
        return json.dumps(rows if len(rows) > 1 else rows[0], indent=1)
    from worker_images.build import render

    return "\n".join(render.dockerfile(planned, root) for planned in plans).removesuffix("\n")
