"""The committed files that are rendered from versions.yaml and images/."""

from collections.abc import Mapping
from pathlib import Path

from worker_images.build import deploy, plan, render, requirements
from worker_images.errors import DriftError
from worker_images.files import write_atomic
from worker_images.model import pins
from worker_images.model.pins import Source
from worker_images.model.project import Project

UPSTREAM = "Dockerfile.upstream"
SOURCES: Mapping[str, Source] = {render.COMMITTED: "packages", UPSTREAM: "upstream"}


def files(project: Project) -> dict[Path, str]:
    """Return the expected text of each generated file."""
    locked = requirements.load(project)
    found = {}
    if project.stands_alone:
        found[project.root / "versions.schema.json"] = pins.json_schema()
        found |= deploy.drivers(project)
    for name in project.catalog.buildable:
        folder = project.root / "images" / name
        for file, source in SOURCES.items():
            planned = plan.make(project, locked, name, source)
            found[folder / file] = render.dockerfile(planned, project.root)
    return found


def write(project: Project, *, check: bool = False) -> tuple[str, ...]:
    """Write each file that differs and return the names; with `check`, raise DriftError instead."""
    texts = files(project)
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text() != text]
    names = tuple(map(project.tree.name, stale))
    if check and stale:
        raise DriftError(
            f"{', '.join(names)}: out of date with versions.yaml and images/;"
            " run: ./build.py render"
        )
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, texts[path])
    return names
