"""`make lock`: resolve the pins with Debian's mirror, the Go module proxy and PyPI."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from worker_images.build import (
    component,
    inputs,
    machine,
    provision,
    record,
    render,
    requirements,
    resolve_debian,
    tars,
)
from worker_images.build.component import Component
from worker_images.build.inputs import BUILDER, Root
from worker_images.build.requirements import PLATFORMS
from worker_images.build.resolve_debian import Task
from worker_images.build.tars import Progress
from worker_images.engine import buildx
from worker_images.errors import DriftError, FetchError
from worker_images.fetch import apt, gomod
from worker_images.fetch.store import Store
from worker_images.files import text_digest, write_atomic
from worker_images.model import lock, lock_differences, patches
from worker_images.model.component import Architecture, GoModule
from worker_images.model.lock import Lock, Module, Toolchain
from worker_images.model.pins import Fork
from worker_images.model.project import Project
from worker_images.model.tree import COMPONENTS

LOCK = "lock"
EMPTY = Lock(lock.Debian("", "", "", ()), {}, Toolchain("", "", 0), {}, {}, ())


def write(
    project: Project, progress: Progress, *, check: bool = False, kept: Lock = EMPTY
) -> tuple[str, ...]:
    """Write versions.lock, go.mod and go.sum if they changed and return the changes.

    Entries of the kept lock that still match the pins stay unchanged. With `check`, raises
    DriftError instead of writing.
    """
    files = resolved(project, kept, progress)
    path, name = lock.lock_of(project.versions), project.tree.name
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text() != text]
    changes = (*map(name, stale), *lock_differences.of_packages(path, files[path]))
    if check and stale:
        raise DriftError(
            "\n".join([*changes, "the registries now have other versions; run: make lock"])
        )
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, files[path])
    return changes


def resolved(project: Project, kept: Lock, progress: Progress) -> dict[Path, str]:
    """Return versions.lock and the new go.mod and go.sum files, with their texts."""
    if os.environ.get("GOSUMDB") == "off":
        raise FetchError(
            "GOSUMDB=off: Go and its modules would not be verified; unset it, or set it to a"
            " checksum database, and run again"
        )
    machine.check(machine.Machine.here(), "packages", "slim")
    wanted, locked = requirements.request(project), kept.request
    stale = {key for key, value in wanted.items() if locked.get(key) != value}
    if "go.toolchain" in stale:
        # go.mod names the Go release that resolved it.
        stale |= {key for key in wanted if key.startswith("modules.")}
    task = Task(project, kept, frozenset(stale), progress)
    debian, packages = project.pins.debian, resolve_debian.packages(task)
    times = resolve_debian.times(kept, lock.lock_of(project.versions), packages)
    new = replace(
        kept,
        debian=lock.Debian(debian.suite, debian.mirror, debian.security, times),
        packages=packages,
        wheels=_wheels(task),
        published=requirements.published(project),
    )
    requirements.check_file_time(project, new)
    new, sums = _with_modules(task, new)
    return {**sums, lock.lock_of(project.versions): new.as_text()}


def _wheels(task: Task) -> dict[str, dict[str, lock.Wheel]]:
    return {
        architecture: {
            name: _wheel(task, name, architecture, *wheel) for name, wheel in owners.items()
        }
        for architecture, owners in requirements.wheels(task.project).items()
    }


def _wheel(
    task: Task, name: str, architecture: Architecture, wheel: str, version: str
) -> lock.Wheel:
    if f"{architecture}.{name}" not in task.of("wheels"):
        return task.kept.wheels[architecture][name]
    task.progress(f"fetching {wheel} {version} for {architecture} for its digest")
    return Store().resolve_wheel(wheel, version, PLATFORMS[architecture])


def _with_modules(task: Task, new: Lock) -> tuple[Lock, dict[Path, str]]:
    """Return the lock with the modules of Go components, and the new go.mod and go.sum files."""
    catalog, stale = task.project.catalog, task.of("modules")
    names = [
        name for name, each in catalog.components.items() if isinstance(each.packages, GoModule)
    ]
    if not stale:
        modules = {name: task.kept.modules[name] for name in names}
        return replace(new, modules=modules), {}
    components = [component.resolve(task.project, name, "packages") for name in stale]
    with record.exclusive(task.project.root / "out" / LOCK, task.progress):
        found = _run_go(task, new, components)
        task.progress("fetching Go modules for their sizes and checksums")
        toolchain = _toolchain(task.project.pins.go.toolchain, found)
        modules = {
            name: (
                _module(name, catalog.components[name].packages, task, found)
                if name in stale
                else task.kept.modules[name]
            )
            for name in names
        }
        sums = dict(_sum(task.project, file, found) for file in sorted(found.glob("*/go.*")))
    return replace(new, toolchain=toolchain, modules=modules), sums


def _sum(project: Project, file: Path, found: Path) -> tuple[Path, str]:
    """Return where go.mod or go.sum belongs, and its text; a project keeps what differs below."""
    place, text = f"{COMPONENTS}/{file.relative_to(found)}", file.read_text()
    held = project.tree.part(file.parent.name, file.name)
    same = held.is_file() and held.read_text() == text
    return (held if same else project.root / place), text


def _run_go(task: Task, new: Lock, components: Sequence[Component]) -> Path:
    """Resolve modules with the go command and return the folder with its results.

    It contains go.mod and go.sum of each component, and the toolchain's checksum.
    """
    project, store = task.project, Store()
    endpoint = provision.ensure_engine(project, new, store, None, task.progress).endpoint
    out = project.root / "out" / LOCK
    folder, found = tars.cleared(out / "context"), tars.cleared(out / "found")
    names = requirements.roots(project.catalog, BUILDER).names["base"]
    wanted = {LOCK: (*names, *sorted(project.catalog.packages.lock))}
    resolver = apt.resolve(project.pins.debian, wanted)[LOCK]
    base = new.packages[BUILDER].of("base")
    rules, added = project.catalog.rules, inputs.without(project, resolver, base)
    changed = {each.name: patches.read(project.root, each.name) for each in components}
    roots = [Root("base", base, rules), Root(LOCK, added, rules)]
    roots += [inputs.patch_program(project, new)] * any(changed.values())
    write = tars.writer(store, project.pins.debian, new.debian.resolved, project.file_time)
    tars.place(folder, roots, write, project.file_time, task.progress)
    for name, each in ((name, each) for name, every in changed.items() for each in every):
        place = folder / "patches" / name / each.locked.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(each.text)
    locked = {name: [each.locked for each in every] for name, every in changed.items()}
    values = {"toolchain": project.pins.go.toolchain, "components": components, "patches": locked}
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text(render.text("Dockerfile.lock.j2", project.root, values))
    job = buildx.Job(
        dockerfile,
        folder,
        f"type=local,dest={found}",
        project.file_time,
        target=LOCK,
        no_cache=True,
        network=True,
    )
    buildx.build(endpoint, {LOCK: job}, out / "build.log")
    return found


def _toolchain(version: str, found: Path) -> Toolchain:
    release = json.loads((found / "toolchain.json").read_text())
    if not release.get("Sum"):
        raise FetchError(
            f"resolving Go {version}: {release.get('Error', 'no checksum')}; check go.toolchain in"
            " versions.yaml"
        )
    (archive,) = Store().modules([gomod.toolchain(version, release["Sum"])])
    return Toolchain(version, release["Sum"], archive.stat().st_size)


def _module(name: str, origin: object, task: Task, found: Path) -> Module:
    assert isinstance(origin, GoModule)
    mod, total = ((found / name / file).read_text() for file in ("go.mod", "go.sum"))
    files = Store().modules(gomod.files(total, f"{name}/go.sum"))
    size = sum(path.stat().st_size for path in files)
    pin = task.project.pins.components[name].packages
    changed, digest = patches.read(task.project.root, name), found / name / "digest"
    return Module(
        module=origin.module,
        version=str(pin.version),
        commands=origin.commands,
        mod=text_digest(mod),
        sum=text_digest(total),
        size=size,
        replace=_line(pin.replace, total) if pin.replace else "",
        patches=tuple(each.locked for each in changed),
        tree=digest.read_text().split()[0] if changed else "",
    )


def _line(fork: Fork, total: str) -> str:
    """The line of go.sum for a fork; the go command writes it when it resolves the fork."""
    begin = f"{fork.module} {fork.version} "
    return next(line for line in total.splitlines() if line.startswith(begin))
