"""The Go modules of an image's programs, from their build information, compared with the lock."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from worker_images.build.component import Component
from worker_images.build.inputs import Text
from worker_images.build.plan import Plan
from worker_images.errors import PolicyError
from worker_images.model import lock
from worker_images.model.component import GoModule
from worker_images.model.lock import Patch
from worker_images.model.oci import elf
from worker_images.model.oci.image import Image
from worker_images.release.owners import Program


@dataclass(frozen=True, order=True)
class Module:
    """A Go module, with its hash in go.sum.

    `replaces` is the module whose path a fork keeps, `patches` what was applied to it.
    """

    path: str
    version: str
    sum: str
    replaces: str = ""
    patches: tuple[Patch, ...] = ()


@dataclass(frozen=True)
class Built:
    """What a Go program was built from: the release of Go and the modules."""

    program: Program
    go: str
    main: str
    modules: tuple[Module, ...]


def built(image: Image, programs: Sequence[Program], plan: Plan) -> tuple[Built, ...]:
    """Return the build information of each Go program.

    Raises PolicyError if a program of a Go component has none, or one that differs from the lock.
    """
    locked = {each.name: each.module for each in plan.modules if each.module}
    found = tuple(each for program in programs if (each := _read(image, program)))
    faults = [
        f"{program.entry.path}: {fault}"
        for component in plan.modules
        for program in programs
        if program.component == component.name
        for fault in _faults(component, plan, [each for each in found if each.program == program])
    ]
    if faults:
        raise PolicyError(f"Go programs: {'; '.join(faults)}; build the image again")
    return tuple(
        _named(each, locked[name], plan) if (name := each.program.component) in locked else each
        for each in found
    )


def _named(found: Built, locked: lock.Module, plan: Plan) -> Built:
    """Build information in which a fork or a patched module has its own name, version and hash."""
    if not locked.replaced:
        return found
    path, version, *_ = locked.replace.split() or [locked.module, locked.version]
    total = _sums(found.program.component, plan)[path, version]
    original = locked.module if locked.replace else ""
    own = Module(path, version, total, original, locked.patches)
    rows = (own if each.path == locked.module else each for each in found.modules)
    return replace(found, modules=tuple(sorted(rows)))


def _read(image: Image, program: Program) -> Built | None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "program"
        image.extract(program.entry, copy)
        try:
            info = elf.build_info(copy)
        except elf.ElfError:
            return None
    rows = tuple(sorted(Module(path, *row) for path, row in info.modules.items()))
    return Built(program, info.go.removeprefix("go"), info.path, rows)


def _faults(component: Component, plan: Plan, found: Sequence[Built]) -> list[str]:
    """The differences of a program from the lock, each as text."""
    if not found:
        return ["has no valid Go build information"]
    info = found[0]
    assert isinstance(component.origin, GoModule)
    faults = []
    if info.go != plan.toolchain:
        faults.append(f"compiled by Go {info.go} instead of {plan.toolchain}")
    if info.main not in component.origin.commands:
        faults.append(f"is the command {info.main}, which {component.name} does not have")
    sums = _sums(component.name, plan)
    if component.module and component.module.replaced:
        module, (version, total) = component.module, component.module.replaced
        sums = {key: sums[key] for key in sums if key != (module.module, module.version)}
        sums[module.module, version] = total
    return faults + [
        f"{each.path} {each.version} {each.sum} is not in go.sum"
        for each in info.modules
        if sums.get((each.path, each.version)) != each.sum
    ]


def _sums(component: str, plan: Plan) -> dict[tuple[str, str], str]:
    """The hashes in a component's go.sum, which the lock names by its digest."""
    place = f"components/{component}/go.sum"
    texts = (each.content for each in plan.inputs if isinstance(each, Text) and each.place == place)
    rows = (line.split(" ") for text in texts for line in text.splitlines())
    return {(path, version): digest for path, version, digest in rows}
