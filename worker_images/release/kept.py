"""Images that were built and tested before, perhaps on another machine; nothing is built here."""

from collections.abc import Iterator, Sequence

from worker_images.build import jobs, pipeline, record
from worker_images.build.inputs import BUILDER
from worker_images.build.plan import Plan
from worker_images.build.record import Record
from worker_images.errors import PolicyError
from worker_images.model.project import Project


def records(wanted: Sequence[jobs.Request], project: Project) -> Iterator[Record]:
    """Yield the record of each image, whose folder is locked.

    Raises PolicyError for an image that is missing, untested, or built from other inputs.
    """
    planned = jobs.plan_all(wanted, project)
    for request, plan, text in zip(wanted, planned.plans, planned.dockerfiles, strict=True):
        folder = project.root / "out" / plan.name
        key = pipeline.key_of(plan, text, request.compression)
        found = Record.read(folder / "build.json")
        if found and not (fault := _fault(found, key, project, plan)):
            yield found
            continue
        raise PolicyError(
            f"{folder / 'image.tar'}: {fault if found else 'it has no record of a build'};"
            f" --no-build releases only what was built and tested: {command(request)}"
        )


def _fault(found: Record, key: dict[str, str], project: Project, plan: Plan) -> str:
    """Why a record is not one of a tested image of this checkout; empty if it is."""
    if changed := record.changed(key, found):
        return f"changed since it was built: {', '.join(changed)}"
    if not record.matches(project.root / "out" / plan.name / "image.tar", found):
        return "missing, or not the archive that was built"
    if found.tests_digest != pipeline.tests_digest(project):
        return "the checkout was changed after its tests, or it was not tested"
    return ""


def command(request: jobs.Request) -> str:
    """The command that builds and tests an image."""
    words = ["./build.py", "--variant", request.variant]
    words += [] if request.architecture == BUILDER else ["--arch", request.architecture]
    words += [] if request.compression == "gzip" else ["--compression", request.compression]
    return " ".join(words)
