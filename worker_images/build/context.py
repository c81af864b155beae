"""The build context: the inputs of one or more plans, each at its place in one folder."""

from pathlib import Path

from worker_images.build import render, tars
from worker_images.build.compilers import Toolchain, Zig
from worker_images.build.inputs import Modules, Root, Text, Wheel
from worker_images.build.plan import Plan
from worker_images.build.published import File
from worker_images.build.tars import Progress
from worker_images.fetch.store import Store


def lay_out(folder: Path, dockerfile: str, plan: Plan, store: Store, progress: Progress) -> Path:
    """Add a plan's inputs and Dockerfile to a context and return the Dockerfile's path.

    A context may hold several plans.
    """
    packed = [each for each in plan.inputs if isinstance(each, Root | Toolchain | Zig)]
    write = tars.writer(store, plan.debian, plan.resolved, plan.file_time)
    tars.place(folder, packed, write, plan.file_time, progress)
    for each in plan.inputs:
        if isinstance(each, Text):
            (folder / each.place).parent.mkdir(parents=True, exist_ok=True)
            (folder / each.place).write_text(each.content)
        elif isinstance(each, Modules):
            for file, path in zip(each.files, store.modules(each.files), strict=True):
                tars.link(path, folder / each.place / file.name)
        elif isinstance(each, Wheel):
            tars.link(store.wheel(each.wheel), folder / each.place)
        elif isinstance(each, File):
            tars.link(store.file(each.name, each.digest, each.redirects), folder / each.place)
    path = folder / plan.variant / render.COMMITTED
    path.parent.mkdir()
    path.write_text(dockerfile)
    return path


def fetch_packages(plan: Plan, store: Store) -> None:
    """Fetch the image's own packages into the store, where the test harness reads them."""
    names = {"base", *(component.name for component in plan.components)}
    for each in plan.inputs:
        if isinstance(each, Root) and each.owner in names:
            store.debs(each.packages, plan.debian, plan.resolved)
