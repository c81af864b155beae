"""`--print bake`: a bake file and the context that it reads."""

from collections.abc import Sequence
from pathlib import Path

from worker_images.build import context, record, site, tars
from worker_images.build.jobs import Request, plan_all
from worker_images.build.plan import ALL
from worker_images.build.tars import Progress
from worker_images.engine import buildx
from worker_images.errors import UsageError
from worker_images.model.project import Project


def bake_file(requests: Sequence[Request], project: Project, progress: Progress) -> str:
    """Write the context and return a bake file to run from the repository root."""
    if any(each.compression != "gzip" for each in requests):
        raise UsageError("--print bake: BuildKit compresses its archive; omit --compression")
    planned = plan_all(requests, project)
    name = planned.plans[0].name if len(planned.plans) == 1 else ALL
    out = Path("out") / name / "bake"
    jobs = {}
    with record.exclusive(project.root / out, progress):
        folder = tars.cleared(project.root / out / "context")
        for plan, text in zip(planned.plans, planned.dockerfiles, strict=True):
            # bake resolves the Dockerfile's path within the context.
            dockerfile = context.lay_out(folder, text, plan, planned.store, progress)
            # A separate archive: that of a build is tested and recorded.
            jobs[plan.variant] = buildx.Job(
                dockerfile.relative_to(folder),
                out / "context",
                buildx.archive(out / f"{plan.name}.tar"),
                plan.created,
                architecture=plan.architecture,
                network=plan.source == "upstream",
                contexts=site.contexts(plan, project.pins.mirrors),
            )
    return buildx.bake(jobs)
