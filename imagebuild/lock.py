"""go.mod and go.sum of each Go component, resolved from versions.yaml in the builder."""

from dataclasses import replace
from pathlib import Path

from imagebuild import buildx, context, machine, plan, record, render, work
from imagebuild.context import Tell
from imagebuild.places import write_whole


def write(versions: Path, root: Path, tell: Tell) -> tuple[Path, ...]:
    """Write go.mod and go.sum of each Go component, resolved in the builder; returns the files."""
    pinned, known = work.load(root, versions)
    everything = plan.everything(pinned, known, "packages")
    planned = replace(everything, components=everything.modules)
    machine.check(machine.Machine.here(), planned.supply, planned.variant)
    endpoint = context.ensure_engine(root, planned, None, tell)
    out = root / "out" / "lock"
    with record.exclusive(out, tell):
        rows = context.roots(planned, context.resolve(everything, root, refresh=False))
        folder = context.cleared(out / "context")
        dockerfile = context.lay_out(folder, render.dockerfile(planned, root, "Dockerfile.lock.j2"), planned, rows, root, tell)
        found = context.cleared(out / "found")
        job = buildx.Job(dockerfile, folder, f"type=local,dest={found}", planned.epoch, target="lock")
        buildx.build(endpoint, {"lock": job}, out / "build.log")
        files = {root / "images" / "components" / file.relative_to(found): file for file in sorted(found.glob("*/go.*"))}
        for target, source in files.items():
            write_whole(target, source.read_text())
        return tuple(files)
