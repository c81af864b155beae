"""`build.py engine`, `render` and `test`: arguments to the text of an answer."""

import argparse
import shlex
from pathlib import Path

from worker_images.build import pipeline, plan, provision, requirements
from worker_images.build.tars import Tell
from worker_images.build.work import Request
from worker_images.engine.endpoint import PrivateEngine, has_docker_with_buildx, locate
from worker_images.errors import DriftError
from worker_images.fetch.store import Inputs, Store
from worker_images.files import check_cache, write_whole
from worker_images.model import project


def engine(argv: list[str], root: Path, tell: Tell) -> str:
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
        pinned, known = project.load(root, root / "versions.yaml")
        inputs = Inputs(requirements.load(root / "versions.yaml", pinned, known, root), Store())
        endpoint = provision.ensure_engine(
            root, plan.make(pinned, known, known.buildable[0]), None, inputs, tell
        ).endpoint
        return f"running: {endpoint.host}"
    found = locate(private)
    if found is None:
        return private.run("status")
    if action == "status":
        return f"running: {found.host}"
    clients = (
        ""
        if has_docker_with_buildx()
        else f'\nexport PATH={shlex.quote(str(private.client))}:"$PATH"'
    )
    settings = "\n".join(
        f"export {name}={shlex.quote(value)}" for name, value in found.address.environment.items()
    )
    return f"{settings}{clients}"


def render(argv: list[str], root: Path, _: Tell) -> str:
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
    files = pipeline.generated(root)
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text() != text]
    if check and stale:
        names = ", ".join(str(path.relative_to(root)) for path in stale)
        raise DriftError(f"{names}: not what versions.yaml and images/ render; run: make render")
    for path in stale:
        write_whole(path, files[path])
    return "\n".join(str(path.relative_to(root)) for path in stale)


def test(argv: list[str], root: Path, tell: Tell) -> str:
    """Build what is missing and judge it again."""
    parser = argparse.ArgumentParser(
        prog="build.py test", description="Build what is missing and run the image layer on it."
    )
    parser.add_argument(
        "variants",
        nargs="*",
        metavar="VARIANT",
        help="default: every variant whose components all exist",
    )
    versions = root / "versions.yaml"
    chosen = (
        tuple(dict.fromkeys(parser.parse_args(argv).variants))
        or project.load(root, versions)[1].buildable
    )
    pipeline.run([Request(variant, versions, again=True) for variant in chosen], root, tell)
    return f"image layer passed: {', '.join(chosen)}"
