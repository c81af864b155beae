"""`--print bake`: a bake file, and the context that it reads."""

from collections.abc import Sequence
from pathlib import Path

from worker_images.build import context, record, tars
from worker_images.build.plan import ALL
from worker_images.build.tars import Progress
from worker_images.build.work import Request, plan_all
from worker_images.engine import buildx
from worker_images.model.project import Project


def bake_file(requests: Sequence[Request], project: Project, progress: Progress) -> str:
    """A bake file that builds the requests from the repository root; lays out its context."""
    planned = plan_all(requests, project)
    name = planned.plans[0].name if len(planned.plans) == 1 else ALL
    place = Path("out") / name / "bake"
    jobs = {}
    with record.exclusive(project.root / place, progress):
        folder = tars.cleared(project.root / place / "context")
        for plan, text in zip(planned.plans, planned.dockerfiles, strict=True):
            # bake reads the path as one in the context.
            dockerfile = context.lay_out(folder, text, plan, planned.store, progress)
            # Not the archive of a build: that one is tested and recorded.
            jobs[plan.variant] = buildx.Job(
                dockerfile.relative_to(folder),
                place / "context",
                buildx.archive(place / f"{plan.name}.tar"),
                plan.epoch,
                architecture=plan.architecture,
            )
    return buildx.bake(jobs)
