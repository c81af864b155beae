"""The command line: arguments in, text and an exit code out; nothing else prints or exits."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from imagebuild import buildx, pipeline, plan, render
from imagebuild.engine import PrivateEngine, find, has_docker_with_buildx
from imagebuild.errors import DriftError, ImageBuildError
from imagebuild.pipeline import Outcome, Request

EXAMPLES = """\
examples:
  ./build.py --variant slim                      build, judge and tag worker:slim
  ./build.py --variant slim --print dockerfile   show what would be built
  ./build.py --variant slim --refresh            take today's Debian packages
  ./build.py engine start                        a private engine where there is none
  eval "$(./build.py engine env)"                a shell whose docker is that engine
  ./build.py lock                                go.mod and go.sum from versions.yaml
  ./build.py render [--check]                    the committed Dockerfiles and schema

exit codes: 0 ok, 2 usage or versions.yaml, 3 fetch, 4 engine or build, 5 the judge refuses, 130 interrupted
"""
COMMANDS = ("engine", "lock", "render")


def main(argv: list[str], root: Path) -> int:
    """Run one command and return its exit code."""
    try:
        if argv and argv[0] in COMMANDS:
            return {"engine": _engine, "lock": _lock, "render": _render}[argv[0]](argv[1:], root)
        return _build(argv, root)
    except ImageBuildError as error:
        print(f"build.py: {error}" if "\n" not in str(error) else str(error), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("build.py: interrupted; nothing was tagged; the same command starts again", file=sys.stderr)
        return 130


def _tell(text: str) -> None:
    print(f"» {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="build.py",
        description="Build a worker image from versions.yaml, judge it, and tag what passed.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--variant", required=True, help="a folder of images/ with a variant.yaml: slim, full")
    parser.add_argument("--supply", choices=("packages", "vendor"), help="where parts come from; default: versions.yaml")
    parser.add_argument("--versions", type=Path, metavar="FILE", help="pins to use instead of versions.yaml")
    parser.add_argument("--print", choices=("plan", "dockerfile", "bake"), dest="show", help="show and stop before any work")
    parser.add_argument("--builder", metavar="NAME", help="a buildx builder; default: the engine's own")
    parser.add_argument("--tag", metavar="REF", help="name of the judged image; default: worker:VARIANT")
    parser.add_argument("--refresh", action="store_true", help="resolve the Debian packages anew")
    parser.add_argument("--no-cache", action="store_true", help="build every stage again")
    parser.add_argument("--no-judge", action="store_true", help="build and load, judge and tag nothing")
    parser.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    return parser


def _build(argv: list[str], root: Path) -> int:
    arguments = _parser().parse_args(argv)
    request = Request(
        variant=arguments.variant,
        versions=(arguments.versions or root / "versions.yaml").absolute(),
        supply=arguments.supply,
        builder=arguments.builder,
        tag=arguments.tag,
        refresh=arguments.refresh,
        no_cache=arguments.no_cache,
        judge=not arguments.no_judge,
    )
    if arguments.show:
        print(_shown(arguments.show, pipeline.make_plan(request, root), root), end="")
        return 0
    outcome = pipeline.run(request, root, _tell)
    print(json.dumps(_as_data(outcome), indent=1) if arguments.json else _summary(outcome))
    return 0


def _shown(what: str, planned: plan.Plan, root: Path) -> str:
    if what == "plan":
        return json.dumps(planned.as_data(), indent=1) + "\n"
    if what == "dockerfile":
        return render.dockerfile(planned, root)
    context = Path("out") / planned.variant / "context"
    job = buildx.Job(context / render.COMMITTED, context, pipeline.OUTPUT.format(f"out/{planned.variant}/image.tar"), planned.epoch)
    return json.dumps(job.bake(planned.variant), indent=1) + "\n"


def _as_data(outcome: Outcome) -> dict[str, object]:
    return {**asdict(outcome.record), "tag": outcome.tag, "built": outcome.built, "limits": outcome.limits, "seconds": round(outcome.seconds, 1)}


def _summary(outcome: Outcome) -> str:
    made = outcome.record
    rows = [
        ("image", outcome.tag or "(not tagged)"),
        ("versions", ", ".join(f"{name} {value}" for name, value in made.versions.items())),
        ("digest", made.digest),
        ("size", f"{made.size / 1e6:.1f} MB compressed"),
        ("time", f"{outcome.seconds:.1f} s" + ("" if outcome.built else ", nothing was built")),
        ("debian", f"packages resolved {made.resolved}; --refresh takes today's" if made.resolved else "packages of the vendor's build day"),
        *(("cannot", text) for text in outcome.limits),
        ("next", f"make test-images, or: docker run --rm {outcome.tag} runsc --version" if outcome.tag else "./build.py without --no-judge"),
    ]
    return "\n".join(f"{name:9} {text}" for name, text in rows)


def _engine(argv: list[str], root: Path) -> int:
    parser = argparse.ArgumentParser(prog="build.py engine", description="The private container engine of a machine that has none.")
    parser.add_argument("action", choices=("start", "stop", "status", "env"), help="env prints shell lines for eval")
    action = parser.parse_args(argv).action
    private = PrivateEngine(root)
    if action in {"start", "env"}:
        endpoint = find(private)
        if endpoint is None and action == "start":
            pinned, _ = pipeline.load(root, root / "versions.yaml")
            pipeline.start_engine(private, pinned.debian, int(pinned.source_date_epoch), _tell)
        elif endpoint is None:
            private.run("status")
        host = endpoint.host if endpoint else private.host
        if action == "start":
            print(f"running: {host}")
        else:
            print(f"export DOCKER_HOST={host}")
            if not has_docker_with_buildx():
                print(f'export PATH="{private.client}:$PATH"')
        return 0
    print(private.run(action) or "stopped")
    return 0


def _lock(argv: list[str], root: Path) -> int:
    parser = argparse.ArgumentParser(prog="build.py lock", description="Write go.mod and go.sum of each Go component from versions.yaml.")
    parser.add_argument("--versions", type=Path, metavar="FILE", default=root / "versions.yaml")
    arguments = parser.parse_args(argv)
    variant = pipeline.load(root, arguments.versions.absolute())[1].buildable[0]
    for path in pipeline.lock(Request(variant, arguments.versions.absolute()), root, _tell):
        print(path.relative_to(root))
    return 0


def _render(argv: list[str], root: Path) -> int:
    parser = argparse.ArgumentParser(prog="build.py render", description="Write the committed Dockerfiles and versions.schema.json.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 2 where a file is not what its source says")
    check = parser.parse_args(argv).check
    stale = []
    for path, text in pipeline.generated(root).items():
        if path.is_file() and path.read_text() == text:
            continue
        stale.append(str(path.relative_to(root)))
        if not check:
            path.write_text(text)
            print(stale[-1])
    if check and stale:
        raise DriftError(f"{', '.join(stale)}: not what versions.yaml and images/ render; run: make render")
    return 0


