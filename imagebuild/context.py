"""The build context: root filesystem tars, the compiler, Go modules and the Dockerfile, laid out in one folder."""

import fnmatch
import shutil
from pathlib import Path

from imagebuild import debian, render, tars
from imagebuild.plan import BUILDER, Component, Plan
from imagebuild.record import text_digest
from imagebuild.tars import NATIVE, Inputs, Root, Tell
from inputs import compiler, modules, questions
from inputs.lock import Lock


def roots(plan: Plan, lock: Lock, root: Path) -> tuple[Root, ...]:
    """The tars of one plan, each without the packages that lie below it, compilers' also without what no build uses."""
    if plan.supply != "packages":
        return ()
    own, native = lock.packages[plan.architecture], lock.packages[BUILDER]
    below = questions.roots(plan, root).below
    rows = [Root("base", own.of("base"))]
    if plan.cross and plan.modules:
        rows.append(Root(NATIVE, native.of("base")))
    if any(below[component.name] == "cgo" for component in plan.components):
        rows.append(Root("cgo", without(plan, native.of("cgo"), native.of("base"))))
    held = [component.name for component in plan.components if component.name in own.holds]
    return (*rows, *(Root(name, without(plan, own.of(name), own.of(below[name]))) for name in held))


def without(plan: Plan, packages: tuple[debian.Package, ...], below: tuple[debian.Package, ...]) -> tuple[debian.Package, ...]:
    wanted = (package for package in packages if package not in below)
    return tuple(package for package in wanted if not any(fnmatch.fnmatchcase(package.name, pattern) for pattern in plan.unused_packages))


def module_files(plan: Plan, root: Path) -> tuple[modules.File, ...]:
    """Every file of a module proxy that a plan's components are compiled from."""
    paths = [root / "images" / "components" / component.name / "go.sum" for component in plan.modules]
    return tuple(sorted({file for path in paths for file in modules.files(path.read_text(), str(path.relative_to(root)))}))


def lay_out(folder: Path, dockerfile: str, plan: Plan, inputs: Inputs, root: Path, tell: Tell) -> Path:
    """Put a plan's inputs into a context, which may hold another plan's, and return the Dockerfile's path."""
    writers = tars.root_writers(roots(plan, inputs.lock, root), inputs, plan)
    if plan.modules:
        found = modules.toolchain(inputs.lock.toolchain.version, inputs.lock.toolchain.sum)
        writers[f"go-{text_digest(found.sum)[:16]}"] = lambda path: compiler.write(inputs.store.modules([found])[0], path, plan.epoch)
    tars.place(folder, writers, plan, tell)
    if plan.supply == "packages":
        for file, path in zip(names := module_files(plan, root), inputs.store.modules(names), strict=True):
            tars.link(path, folder / "modules" / file.name)
        for component in plan.wheels:
            wheel = inputs.lock.wheels[component.name]
            tars.link(inputs.store.wheel(wheel), folder / "wheels" / f"{wheel.project}-{wheel.version}.whl")
    for component in plan.modules:
        _copy_sums(component, folder, root)
    path = folder / plan.variant / render.COMMITTED
    path.parent.mkdir()
    path.write_text(dockerfile)
    return path


def _copy_sums(component: Component, folder: Path, root: Path) -> None:
    """Copies: an edit in place must not reach a build that has begun."""
    target = folder / "components" / component.name
    target.mkdir(parents=True, exist_ok=True)
    for name in ("go.mod", "go.sum"):
        if (file := root / "images" / "components" / component.name / name).is_file():
            shutil.copyfile(file, target / name)
