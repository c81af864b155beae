"""Build beta9's worker on top of worker:full without an image registry.

Run: `.venv/bin/python -m examples.beta9`.
"""

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from worker_images.build import record, rootfs
from worker_images.console import print_progress
from worker_images.engine import buildx
from worker_images.engine.builder import find
from worker_images.engine.endpoint import Endpoint, PrivateEngine
from worker_images.errors import EngineError, ImageBuildError, UsageError
from worker_images.fetch import apt
from worker_images.files import CACHE
from worker_images.model import project
from worker_images.model.project import Project

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
FULL = ROOT / "out" / "full" / "image.tar"
ARCHIVE = ROOT / "out" / "beta9" / "image.tar"
# These and the base packages of every worker image replace the image debian:trixie-slim.
TOOLS = ("apt", "dpkg", "findutils", "tar")
EXAMPLES = """\
examples:
  .venv/bin/python -m examples.beta9    build the example; examples/beta9/README.md explains it

exit codes: 0 ok, 2 usage, 3 fetch, 4 engine or build
"""
DOCKERFILE = "FROM scratch\nADD tools.tar /\nCOPY sources.list /etc/apt/\n"


def build(endpoint: Endpoint, archive: Path) -> Path:
    """Build the example on the tested full image; return its archive; raises ImageBuildError."""
    if not FULL.exists():
        raise UsageError(f"{FULL} does not exist; run: make full")
    loaded = project.load(ROOT)
    archive.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=archive.parent) as name:
        scratch = Path(name)
        contexts = {
            "full": record.layout(FULL, scratch / "full"),
            "tools": record.layout(_tools(endpoint, loaded, scratch), scratch / "tools"),
        }
        part = scratch / "image.tar"
        job = buildx.Job(
            HERE / "Dockerfile",
            HERE,
            buildx.archive(part),
            loaded.file_time,
            contexts=contexts,
        )
        buildx.build(endpoint, {"beta9": job}, archive.with_name("build.log"))
        return part.replace(archive)


def _tools(endpoint: Endpoint, loaded: Project, scratch: Path) -> Path:
    """Return the archive of a Debian image with apt, assembled like the base of worker images."""
    epoch = loaded.file_time
    debian = loaded.pins.debian
    names = (*loaded.catalog.packages.base, *TOOLS)
    packages = apt.resolve(debian, {"tools": names})["tools"]
    print_progress(f"assembling tools.tar, a Debian root with apt, from {len(packages)} packages")
    files = apt.fetch(packages, CACHE / "debs")
    named = {package.name: file for package, file in zip(packages, files, strict=True)}
    rules = loaded.catalog.rules
    rootfs.assemble(named, scratch / "tools.tar", epoch, rules, base=True)
    (scratch / "sources.list").write_text(apt.sources(debian))
    (scratch / "Dockerfile").write_text(DOCKERFILE)
    archive = scratch / "tools-image.tar"
    job = buildx.Job(scratch / "Dockerfile", scratch, buildx.archive(archive), epoch)
    buildx.build(endpoint, {"tools": job}, scratch / "tools.log")
    return archive


def main(argv: list[str]) -> int:
    """Build the example and print a summary."""
    argparse.ArgumentParser(
        prog="python -m examples.beta9",
        description="Build beta9's worker on top of worker:full; write out/beta9/image.tar.\n"
        "It needs worker:full: make full",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(argv)
    begun = time.monotonic()
    try:
        engine = find(PrivateEngine(ROOT))
        if engine is None:
            raise EngineError("no container engine answers; run: ./build.py engine start")
        _, image_id, size = record.manifest(build(engine.endpoint, ARCHIVE))
    except ImageBuildError as error:
        print(f"example: {error}", file=sys.stderr)
        return error.exit_code
    archive = ARCHIVE.relative_to(ROOT)
    print(f"image     {archive}, not tested, not tagged")
    print(f"image id  {image_id}")
    print(f"size      {size / 1e6:.1f} MB compressed")
    print(f"time      {time.monotonic() - begun:.1f} s")
    print(
        f"next      .venv/bin/python -m pytest tests/image --variant full --image {archive} --mode"
        " derived --trust"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
