"""The build context: root filesystem tars, the compiler, Go modules and the Dockerfile, laid out in
one folder.
"""

import fnmatch
from pathlib import Path

from worker_images.build import gotoolchain, render, requirements, tars
from worker_images.build.plan import BUILDER, Plan
from worker_images.build.tars import NATIVE, Root, Tell
from worker_images.fetch import gomod
from worker_images.fetch.store import Inputs
from worker_images.model.drivers import contract
from worker_images.model.lock import Lock, Package


def roots(plan: Plan, lock: Lock, root: Path) -> tuple[Root, ...]:
    """The tars of one plan, each without the packages that lie below it, compilers' also without
    what no build uses.
    """
    if plan.supply != "packages":
        return ()
    own, native = lock.packages[plan.architecture], lock.packages[BUILDER]
    below = requirements.roots(plan, root).below
    rows = [Root("base", own.of("base"))]
    if plan.cross and plan.modules:
        rows.append(Root(NATIVE, native.of("base")))
    if any(below[component.name] == "cgo" for component in plan.components):
        rows.append(Root("cgo", without(plan, native.of("cgo"), native.of("base"))))
    held = [component.name for component in plan.components if component.name in own.holds]
    return (*rows, *(Root(name, without(plan, own.of(name), own.of(below[name]))) for name in held))


def without(
    plan: Plan, packages: tuple[Package, ...], below: tuple[Package, ...]
) -> tuple[Package, ...]:
    """Packages without those of what lies below, and without what no build uses."""
    wanted = (package for package in packages if package not in below)
    return tuple(
        package
        for package in wanted
        if not any(fnmatch.fnmatchcase(package.name, pattern) for pattern in plan.unused_packages)
    )


def texts(plan: Plan, root: Path) -> dict[str, str]:
    """What a context holds that is small text, by name: copies, so that an edit in place does not
    reach a build that has begun.
    """
    names = [
        f"components/{component.name}/{file}"
        for component in plan.modules
        for file in ("go.mod", "go.sum")
    ]
    return {name: (root / "images" / name).read_text() for name in names} | contract.texts(
        root, plan.components
    )


def lay_out(
    folder: Path, dockerfile: str, plan: Plan, inputs: Inputs, root: Path, tell: Tell
) -> Path:
    """Put a plan's inputs into a context, which may hold another plan's, and return the
    Dockerfile's path.
    """
    if plan.supply == "packages":
        _lay_out_fetched(folder, plan, inputs, root, tell)
    for name, text in texts(plan, root).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    path = folder / plan.variant / render.COMMITTED
    path.parent.mkdir()
    path.write_text(dockerfile)
    return path


def _lay_out_fetched(folder: Path, plan: Plan, inputs: Inputs, root: Path, tell: Tell) -> None:
    writers = tars.root_writers(roots(plan, inputs.lock, root), inputs, plan)
    if plan.modules:
        release = gomod.toolchain(inputs.lock.toolchain.version, inputs.lock.toolchain.sum)
        name = f"go-{gotoolchain.key(release.sum)[:16]}"
        writers[name] = lambda path: gotoolchain.write(
            inputs.store.modules([release])[0], path, plan.epoch
        )
    tars.place(folder, writers, plan, tell)
    files = gomod.of_components(root, [component.name for component in plan.modules])
    for file, path in zip(files, inputs.store.modules(files), strict=True):
        tars.link(path, folder / "modules" / file.name)
    for component in plan.wheels:
        wheel = inputs.lock.wheels[component.name]
        tars.link(
            inputs.store.wheel(wheel), folder / "wheels" / f"{wheel.project}-{wheel.version}.whl"
        )
