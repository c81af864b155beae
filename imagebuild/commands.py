"""The command line's inside: arguments to the text of an answer."""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from imagebuild import buildx, cli, pipeline, plan, provision, render, work
from imagebuild.engine import PrivateEngine, find, has_docker_with_buildx
from imagebuild.errors import DriftError, UsageError
from imagebuild.places import write_whole
from imagebuild.tars import Inputs, Tell
from imagebuild.work import Request
from inputs import questions
from inputs.store import Store

EXAMPLES = """\
commands:
  ./build.py doctor [--json]                     what this machine lacks, with the fixes; changes nothing
  ./build.py compat --driver VERSION ...         which gVisor releases serve these NVIDIA drivers; --help has more questions
  ./build.py engine start|stop|status|env        the private engine of a machine that has none
  ./build.py test [VARIANT ...]                  the image layer; builds what is missing
  ./build.py lock [--check]                      versions.lock, go.mod and go.sum: what the pins mean today
  ./build.py fetch --into DIR                    all that the lock names, for machines without a network
  ./build.py update [--write [COMPONENT ...]]    newer pins, and what they would mean for the fleet
  ./build.py render [--check]                    the committed Dockerfiles and versions.schema.json

examples:
  ./build.py --variant slim                      build, judge and tag worker:slim
  ./build.py --variant all                       build slim and full at once, what they share once
  ./build.py --variant slim --print dockerfile   show what would be built
  ./build.py --variant slim --tag registry.example/team/worker:1 --push
  ./build.py --variant slim --arch arm64         for another architecture, compiled here
  ./build.py --variant slim --offline DIR        without a network, from what build.py fetch --into DIR brought
  eval "$(./build.py engine env)"                a shell whose docker is that engine

exit codes: 0 ok, 2 usage or versions.yaml, 3 fetch, 4 engine or build, 5 the judge refuses, 6 registry, 7 a promise to the fleet,
130 interrupted
"""


def execute(argv: list[str], root: Path, tell: Tell) -> str:
    """Run one command and return its answer; raises ImageBuildError."""
    commands = {"engine": _engine, "render": _render, "test": _test}
    if argv and argv[0] in commands:
        return commands[argv[0]](argv[1:], root, tell)
    return _build(argv, root, tell)


def _parser(root: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="build.py",
        description="Build a worker image from versions.yaml, judge it, and tag what passed.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--variant", required=True, help="a folder of images/ with a variant.yaml: slim, full; or all: every one at once")
    parser.add_argument("--supply", choices=("packages", "vendor"), help="where parts come from; default: versions.yaml")
    _add_versions(parser, root)
    parser.add_argument("--print", choices=("plan", "dockerfile", "bake"), dest="show", help="show and stop before any work")
    parser.add_argument("--builder", metavar="NAME", help="a buildx builder; default: the engine's own")
    parser.add_argument("--tag", metavar="REF", help="name of the judged image; default: worker:VARIANT")
    parser.add_argument("--push", action="store_true", help="send the judged image to the registry that --tag names")
    parser.add_argument("--arch", choices=plan.ARCHITECTURES, default=plan.BUILDER, dest="architecture", help="default: %(default)s")
    parser.add_argument("--offline", type=Path, metavar="DIR", help="take every input from a folder that build.py fetch filled; no network")
    parser.add_argument("--no-cache", action="store_true", help="build every stage again")
    parser.add_argument("--no-judge", action="store_false", dest="judge", help="build and load, judge and tag nothing")
    parser.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    return parser


def _add_versions(parser: argparse.ArgumentParser, root: Path) -> None:
    parser.add_argument("--versions", type=lambda name: Path(name).absolute(), metavar="FILE", help="pins to use instead of versions.yaml")
    parser.set_defaults(versions=root / "versions.yaml")


def _build(argv: list[str], root: Path, tell: Tell) -> str:
    arguments = vars(_parser(root).parse_args(argv))
    show, as_json = arguments.pop("show"), arguments.pop("json")
    request = Request(**arguments)
    several = request.variant == pipeline.ALL
    if several and (request.tag or request.push):
        raise UsageError("--variant all: --tag and --push want one image each; build them one by one")
    pinned, known = work.load(root, request.versions)
    names = known.buildable if several else (request.variant,)
    if show:
        return _shown(show, [plan.make(pinned, known, name, request.supply, request.architecture) for name in names], root)
    outcomes = pipeline.run([replace(request, variant=name) for name in names], root, tell)
    if not as_json:
        return "\n\n".join(cli.summary(outcome) for outcome in outcomes)
    rows = [asdict(each.record) | {"tag": each.tag, "built": each.built, "seconds": round(each.seconds, 1)} for each in outcomes]
    return json.dumps(rows if several else rows[0], indent=1)


def _shown(what: str, plans: list[plan.Plan], root: Path) -> str:
    if what == "plan":
        rows = [planned.as_data() for planned in plans]
        return json.dumps(rows if len(rows) > 1 else rows[0], indent=1)
    if what == "dockerfile":
        return "\n".join(render.dockerfile(planned, root) for planned in plans).removesuffix("\n")
    folder = Path("out") / (plans[0].name if len(plans) == 1 else pipeline.ALL) / "context"
    jobs = {}
    for planned in plans:
        dockerfile, archive = folder / planned.variant / render.COMMITTED, Path("out") / planned.name / "image.tar"
        jobs[planned.variant] = buildx.Job(
            dockerfile, folder, pipeline.OUTPUT.format(archive), planned.epoch, architecture=planned.architecture
        )
    return buildx.bake(jobs)


def _engine(argv: list[str], root: Path, tell: Tell) -> str:
    parser = argparse.ArgumentParser(prog="build.py engine", description="The private container engine of a machine that has none.")
    parser.add_argument("action", choices=("start", "stop", "status", "env"), help="env prints shell lines for eval")
    action = parser.parse_args(argv).action
    private = PrivateEngine(root)
    if action == "stop":
        return private.run("stop") or "stopped"
    if action == "start":
        pinned, known = work.load(root, root / "versions.yaml")
        inputs = Inputs(questions.load(root / "versions.yaml", pinned, known, root), Store())
        endpoint = provision.ensure_engine(root, plan.make(pinned, known, known.buildable[0]), None, inputs, tell)
        return f"running: {endpoint.host}"
    found = find(private)
    if found is None:
        return private.run("status")
    if action == "status":
        return f"running: {found.host}"
    clients = "" if has_docker_with_buildx() else f'\nexport PATH="{private.client}:$PATH"'
    return f"export DOCKER_HOST={found.host}{clients}"


def _render(argv: list[str], root: Path, _: Tell) -> str:
    parser = argparse.ArgumentParser(prog="build.py render", description="Write the committed Dockerfiles and versions.schema.json.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 2 where a file is not what its source says")
    check = parser.parse_args(argv).check
    files = pipeline.generated(root)
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text() != text]
    names = [str(path.relative_to(root)) for path in stale]
    if check and stale:
        raise DriftError(f"{', '.join(names)}: not what versions.yaml and images/ render; run: make render")
    for path in stale:
        write_whole(path, files[path])
    return "\n".join(names)


def _test(argv: list[str], root: Path, tell: Tell) -> str:
    parser = argparse.ArgumentParser(prog="build.py test", description="Build what is missing and run the image layer on it.")
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help="default: every variant whose components all exist")
    versions = root / "versions.yaml"
    chosen = tuple(dict.fromkeys(parser.parse_args(argv).variants)) or work.load(root, versions)[1].buildable
    pipeline.run([Request(variant, versions, again=True) for variant in chosen], root, tell)
    return f"image layer passed: {', '.join(chosen)}"
