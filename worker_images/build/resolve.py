"""`make lock`: what the pins mean today, asked of Debian, the Go module proxy and PyPI, as a new
lock.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from worker_images.build import (
    context,
    machine,
    plan,
    provision,
    record,
    render,
    requirements,
    tars,
)
from worker_images.build.plan import BUILDER, Plan
from worker_images.build.tars import Root, Tell
from worker_images.engine import buildx
from worker_images.errors import DriftError, FetchError
from worker_images.fetch import apt, gomod
from worker_images.fetch.store import Inputs, Store
from worker_images.files import write_whole
from worker_images.model import lock, project
from worker_images.model.lock import Lock, Module, Package, Roots, Toolchain, Wheel
from worker_images.model.pins import PackagesSource

LOCK = "lock"
Files = dict[Path, str]


def write(versions: Path, root: Path, tell: Tell, *, check: bool = False) -> tuple[str, ...]:
    """Write versions.lock, go.mod and go.sum where they changed; returns what changed.

    On `check` raises DriftError instead.
    """
    files = _resolved(versions, root, tell)
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text() != text]
    names = [str(path.relative_to(root) if path.is_relative_to(root) else path) for path in stale]
    told = [*names, *lock.changes(lock.lock_of(versions), files[lock.lock_of(versions)])]
    if check and stale:
        raise DriftError(
            "\n".join(
                [*told, "this is what the registries answer today; to take it, run: make lock"]
            )
        )
    for path in stale:
        write_whole(path, files[path])
    return tuple(told)


def _resolved(versions: Path, root: Path, tell: Tell) -> Files:
    if os.environ.get("GOSUMDB") == "off":
        raise FetchError(
            "GOSUMDB=off: nobody would vouch for Go and its modules; unset it, or name a checksum"
            " database, and run again"
        )
    pinned, known = project.load(root, versions)
    plans = {
        architecture: requirements.everything(pinned, known, root, architecture)
        for architecture in plan.ARCHITECTURES
    }
    everything = plans[BUILDER]
    machine.check(machine.Machine.here(), everything.supply, everything.variant)
    packages, resolver = _packages(plans, root, tell)
    path = lock.lock_of(versions)
    asked = lock.Debian(
        everything.debian.suite,
        everything.debian.mirror,
        everything.debian.security,
        date_of(path, packages),
    )
    made = Lock(
        asked,
        packages,
        Toolchain(everything.toolchain, "", 0),
        {},
        {},
        requirements.published(pinned, known, root),
    )
    with record.exclusive(root / "out" / LOCK, tell):
        found = _modules(everything, Inputs(made, Store()), resolver, root, tell)
        tell("having the modules and wheels, for their sizes and sums")
        made = _with_modules(made, everything, found)
        made = replace(made, wheels={each.name: _wheel(each) for each in everything.wheels})
        sums = {
            root / "images" / "components" / file.relative_to(found): file.read_text()
            for file in sorted(found.glob("*/go.*"))
        }
    return {**sums, path: made.as_text()}


def _packages(
    plans: Mapping[plan.Architecture, Plan], root: Path, tell: Tell
) -> tuple[dict[str, Roots], tuple[Package, ...]]:
    """Debian's packages for each architecture, and those that resolve modules, which no build
    takes.
    """
    found: dict[str, Roots] = {}
    resolver: tuple[Package, ...] = ()
    for architecture, planned in plans.items():
        tell(f"asking Debian for {architecture}")
        names = requirements.roots(planned, root).names
        more = {LOCK: (*names["base"], *planned.lock_packages)} if architecture == BUILDER else {}
        answers = apt.resolve(planned.debian, {**names, **more}, architecture)
        resolver = answers.pop(LOCK, resolver)
        files = sorted(
            {package for packages in answers.values() for package in packages},
            key=lambda package: package.name,
        )
        holds = {
            name: tuple(package.name for package in packages) for name, packages in answers.items()
        }
        found[architecture] = Roots(names, holds, tuple(files))
    return found, resolver


def date_of(path: Path, packages: Mapping[str, Roots]) -> str:
    """Since when the packages are these: the lock's own date where they are the same."""
    try:
        earlier = Lock.read(path)
        if all(earlier.packages[name].files == roots.files for name, roots in packages.items()):
            return earlier.debian.resolved
    except (DriftError, KeyError):
        pass
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _modules(
    everything: Plan, inputs: Inputs, resolver: tuple[Package, ...], root: Path, tell: Tell
) -> Path:
    """A folder with what the go command resolved: go.mod and go.sum of each component, and the
    toolchain's sum.
    """
    endpoint = provision.ensure_engine(root, everything, None, inputs, tell).endpoint
    out = root / "out" / LOCK
    folder, found = tars.cleared(out / "context"), tars.cleared(out / "found")
    base = inputs.lock.packages[BUILDER].of("base")
    rows = [Root("base", base), Root(LOCK, context.without(everything, resolver, base))]
    tars.place(folder, tars.root_writers(rows, inputs, everything), everything, tell)
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text(
        render.dockerfile(
            replace(everything, components=everything.modules), root, "Dockerfile.lock.j2"
        )
    )
    job = buildx.Job(
        dockerfile,
        folder,
        f"type=local,dest={found}",
        everything.epoch,
        target=LOCK,
        no_cache=True,
        network=True,
    )
    buildx.build(endpoint, {LOCK: job}, out / "build.log")
    return found


def _with_modules(made: Lock, everything: Plan, found: Path) -> Lock:
    told = json.loads((found / "toolchain.json").read_text())
    if not told.get("Sum"):
        raise FetchError(
            f"resolving Go {everything.toolchain}: {told.get('Error', 'no sum')}; check"
            " go.toolchain in versions.yaml"
        )
    (zipped,) = Store().modules([gomod.toolchain(everything.toolchain, told["Sum"])])
    rows = {}
    for component in everything.modules:
        assert isinstance(component.source, PackagesSource)
        mod, total = ((found / component.name / name).read_text() for name in ("go.mod", "go.sum"))
        size = sum(
            path.stat().st_size
            for path in Store().modules(gomod.files(total, f"{component.name}/go.sum"))
        )
        module, version = str(component.source.module), str(component.source.version)
        rows[component.name] = Module(
            module, version, record.text_digest(mod), record.text_digest(total), size
        )
    return replace(
        made,
        modules=rows,
        toolchain=Toolchain(everything.toolchain, told["Sum"], zipped.stat().st_size),
    )


def _wheel(component: plan.Component) -> Wheel:
    source = component.source
    assert isinstance(source, PackagesSource)
    wheel = Wheel(str(source.wheel), str(source.version), str(source.sha256), 0)
    return replace(wheel, size=Store().wheel(wheel).stat().st_size)
