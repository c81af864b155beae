"""The SBOM of an image, in CycloneDX 1.6: from the lock and from the image's own bytes."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6

from worker_images.build import inputs
from worker_images.build.compilers import Zig
from worker_images.build.inputs import BASE
from worker_images.build.plan import Plan
from worker_images.errors import PolicyError
from worker_images.model.component import DebianPackage
from worker_images.model.lock import Lock
from worker_images.model.oci.image import Image
from worker_images.model.project import Project
from worker_images.release import debian, gomodules, linked, owners, parts
from worker_images.release.debian import Package
from worker_images.release.gomodules import Built
from worker_images.release.owners import Program

# Zig's run-time library and glibc's start-up code, which Zig links into each program.
LINKED_BY_ZIG = "MIT AND LGPL-2.1-or-later"


@dataclass(frozen=True)
class Contents:
    """What an image holds, and the values that it was built from."""

    image: Image
    plan: Plan
    project: Project
    locked: Lock
    packages: tuple[Package, ...]
    programs: tuple[Program, ...]
    built: tuple[Built, ...]

    @property
    def diff_ids(self) -> dict[str, str]:
        """The digest of each component's layer."""
        names = (BASE, *(each.name for each in self.plan.components))
        return {name: layer.diff_id for name, layer in zip(names, self.image.layers, strict=True)}


def document(image: Image, plan: Plan, project: Project, locked: Lock) -> str:
    """Return the SBOM as JSON; equal images have equal SBOMs.

    Raises PolicyError if the image differs from the lock, or a file in it has no owner.
    """
    bom = _bom(_read(image, plan, project, locked))
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _read(image: Image, plan: Plan, project: Project, locked: Lock) -> Contents:
    if plan.source != "packages":
        raise PolicyError(
            f"source {plan.source}: the lock does not name its parts; build with --source packages"
        )
    if len(image.layers) != len(plan.components) + 1:
        raise PolicyError(
            f"{plan.variant}: {len(image.layers)} layers for {len(plan.components)} components and"
            " the base; build the image again"
        )
    packages = debian.packages(image, plan, project.catalog.rules)
    # The files of a Debian component are those of its packages.
    own = [each.name for each in plan.components if not isinstance(each.origin, DebianPackage)]
    programs = owners.programs(image, project.root, own, packages)
    built = gomodules.built(image, programs, plan)
    return Contents(image, plan, project, locked, packages, programs, built)


def _bom(found: Contents) -> Bom:
    """The image depends on its components, they on their packages, modules and wheels."""
    image = _image(found)
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, found.image.digest),
        metadata=BomMetaData(
            component=image, timestamp=datetime.fromtimestamp(found.plan.created, UTC)
        ),
    )
    components = []
    for name in found.diff_ids:
        own = [each for each in found.programs if each.component == name and not each.package]
        component = _component(found, name, map(parts.program, own))
        needed = [*_packages(found, name), *_linked(found, own), *_wheels(found, name)]
        for each in found.built:
            if each.program.component == name:
                modules = [parts.standard_library(each.go), *map(parts.module, each.modules)]
                _add(bom, parts.program(each.program), modules)
                needed += modules
        _add(bom, component, needed)
        components.append(component)
    _add(bom, image, components)
    return bom


def _add(bom: Bom, component: Component, needed: Iterable[Component]) -> None:
    """Add components, once each, and what one of them depends on."""
    unique = {each.bom_ref.value: each for each in needed}
    known = {each.bom_ref.value for each in bom.components}
    bom.components.update(each for ref, each in unique.items() if ref not in known)
    bom.register_dependency(component, unique.values())


def _image(found: Contents) -> Component:
    image, plan = found.image, found.plan
    return Component(
        type=ComponentType.CONTAINER,
        name=f"worker-{plan.variant}",
        version=image.digest,
        bom_ref=image.digest,
        hashes=[parts.sha256(image.digest)],
        properties=parts.properties(
            architecture=plan.architecture,
            image_id=image.image_id,
            source=plan.source,
            variant=plan.variant,
        ),
    )


def _component(found: Contents, name: str, files: Iterable[Component]) -> Component:
    """A component, as its folder in images/ describes it; its digest is that of its layer."""
    plan, diff_id = found.plan, found.diff_ids[name]
    if name == BASE:
        return Component(
            type=ComponentType.PLATFORM,
            name=name,
            version=f"{plan.debian.suite}-{plan.resolved[-1]}",
            bom_ref=f"component:{name}",
            hashes=[parts.sha256(diff_id)],
            properties=parts.properties(diff_id=diff_id, origin="debian"),
        )
    resolved = next(each for each in plan.components if each.name == name)
    return Component(
        type=ComponentType.APPLICATION,
        name=name,
        version=resolved.reported_version,
        bom_ref=f"component:{name}",
        hashes=[parts.sha256(diff_id)],
        licenses=[LicenseExpression(found.project.catalog.components[name].licence)],
        properties=parts.properties(diff_id=diff_id, origin=resolved.origin.kind),
        components=files,
    )


def _packages(found: Contents, name: str) -> list[Component]:
    suite = found.plan.debian.suite
    return [
        parts.debian(
            package,
            suite,
            (parts.program(each) for each in found.programs if each.package == package.name),
        )
        for package in found.packages
        if package.component == name
    ]


def _linked(found: Contents, programs: Iterable[Program]) -> list[Component]:
    plan = found.plan
    return [
        parts.linked(
            package,
            next(
                (each for each in found.packages if each.source == debian.source_of(package)), None
            ),
            plan.architecture,
            plan.debian.suite,
        )
        for program in programs
        for component in plan.components
        if component.name == program.component
        for package in linked.libraries(
            found.image, program, component, plan, found.project.catalog
        )
    ]


def _wheels(found: Contents, name: str) -> list[Component]:
    if name == BASE:
        return []
    licence = found.project.catalog.components[name].licence
    wheels = [
        parts.wheel(each.wheel, licence)
        for each in found.plan.inputs
        if isinstance(each, inputs.Wheel) and each.owner == name
    ]
    compilers = [
        parts.wheel(each.wheel, LINKED_BY_ZIG, linked="statically")
        for each in found.plan.inputs
        if isinstance(each, Zig) and name in {own.name for own in found.plan.c_programs}
    ]
    return wheels + compilers
