"""Resolve pins, catalog and lock into the plan of one variant and one source."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from worker_images.build import component as components
from worker_images.build import inputs
from worker_images.build.compilers import GO, ZIG
from worker_images.build.component import Component
from worker_images.build.inputs import BUILDER, Input
from worker_images.build.record import default_tag
from worker_images.errors import UsageError
from worker_images.model.catalog import Catalog, Variant
from worker_images.model.component import Architecture, DebianPackage, GoModule
from worker_images.model.drivers.table import COMPONENT
from worker_images.model.lock import Lock
from worker_images.model.pins import DebianPin, Source
from worker_images.model.project import Project

# The value of --variant that selects every variant.
ALL: Literal["all"] = "all"


def image_name(variant: str, architecture: Architecture) -> str:
    """The variant, with the architecture if that is not the builder's."""
    return variant if architecture == BUILDER else f"{variant}-{architecture}"


@dataclass(frozen=True)
class Plan:
    """All values for rendering and building. They do not depend on the machine."""

    variant: str
    source: Source
    purpose: str
    components: tuple[Component, ...]
    missing: tuple[str, ...]
    base_packages: tuple[str, ...]
    drivers: tuple[str, ...]
    debian: DebianPin
    toolchain: str
    zig: str
    file_time: int
    created: int
    resolved: tuple[str, ...]
    inputs: tuple[Input, ...]
    architecture: Architecture = BUILDER

    @property
    def cross(self) -> bool:
        """True if the image is for another architecture than the builder's."""
        return self.architecture != BUILDER

    @property
    def name(self) -> str:
        """The name of the image, of its folder and of its tag."""
        return image_name(self.variant, self.architecture)

    @property
    def tag(self) -> str:
        """Default name of the image."""
        return default_tag(self.name)

    @property
    def out(self) -> str:
        """The folder of a stage whose files become a layer; its name contains the files' time.

        BuildKit's cache of COPY ignores times, so a new time needs a folder with a new name.
        """
        return f"/out-{self.file_time}" if self.source == "packages" else "/out"

    @property
    def modules(self) -> tuple[Component, ...]:
        """Components that are compiled with Go."""
        return tuple(each for each in self.components if isinstance(each.origin, GoModule))

    @property
    def uses_cgo(self) -> bool:
        """True if a component is compiled with cgo."""
        return any(each.builder == inputs.CGO for each in self.components)

    @property
    def c_programs(self) -> tuple[Component, ...]:
        """Components that are C programs of our own."""
        return tuple(each for each in self.components if each.builder == ZIG)

    @property
    def lacks(self) -> tuple[str, ...]:
        """Parts that this source does not include."""
        return tuple(dict.fromkeys(text for each in self.components for text in each.lacks))

    def runs_native(self, component: Component) -> bool:
        """True if programs of the builder's architecture make a component of another one."""
        return self.cross and not isinstance(component.origin, DebianPackage)

    def inputs_of(self, component: Component) -> tuple[Input, ...]:
        """Return the inputs that decide a component's bytes: its own and its compiler's."""
        owners = {component.name, *BELOW[component.builder]}
        # These compilers need nothing of the root filesystem below them.
        if self.runs_native(component) and component.builder not in {GO, ZIG}:
            owners.add(inputs.NATIVE)
        if self.cross and component.builder == inputs.CGO:
            owners |= {inputs.CROSS, inputs.TARGET}
        return tuple(each for each in self.inputs if each.owner in owners)

    def as_data(self) -> dict[str, object]:
        """Return plain data for JSON."""
        rows = []
        for component in self.components:
            row = asdict(component)
            row["origin"] = component.origin.model_dump()
            row["pin"] = component.pin.model_dump(exclude_none=True) if component.pin else None
            rows.append(row)
        return {
            "variant": self.variant,
            "source": self.source,
            "architecture": self.architecture,
            "purpose": self.purpose,
            "components": rows,
            "missing": self.missing,
            "base_packages": self.base_packages,
            "drivers": self.drivers,
            "debian": self.debian.model_dump(),
            "toolchain": self.toolchain,
            "zig": self.zig,
            "file_time": self.file_time,
            "created": self.created,
            "packages_resolved": self.resolved,
            "lacks": self.lacks,
            "inputs": [
                {"name": each.name, "digest": each.digest, "place": each.place}
                for each in self.inputs
            ],
        }


# The stages below a component's own, by its builder; each owns the inputs of its name. Without a
# builder a component uses the base's programs.
BELOW: Mapping[str | None, tuple[str, ...]] = {
    None: (inputs.BASE,),
    GO: (GO,),
    ZIG: (ZIG,),
    inputs.CGO: (inputs.BASE, GO, inputs.CGO),
}


def make(
    project: Project,
    locked: Lock,
    variant: str,
    source: Source | None = None,
    architecture: Architecture = BUILDER,
) -> Plan:
    """Plan a variant; raises UsageError if images/ does not describe it."""
    catalog = project.catalog
    names = [name for name in described(catalog, variant).components if name in catalog.components]
    return of_components(project, locked, variant, names, source, architecture)


def described(catalog: Catalog, variant: str) -> Variant:
    """A variant of images/; raises UsageError if there is none with this name."""
    if variant not in catalog.variants:
        known = ", ".join(catalog.variants)
        raise UsageError(f"--variant {variant!r}: no such variant; known variants: {known}")
    return catalog.variants[variant]


def of_components(
    project: Project,
    locked: Lock,
    variant: str,
    names: Sequence[str],
    source: Source | None = None,
    architecture: Architecture = BUILDER,
) -> Plan:
    """Plan any components under the name of a variant."""
    pins, catalog = project.pins, project.catalog
    chosen = source or pins.source
    served = project.table.get(pins.components[COMPONENT].version)
    available = [
        name
        for name in names
        if architecture in catalog.components[name].origin(chosen).architectures
    ]
    described = catalog.variants.get(variant)
    return Plan(
        variant=variant,
        source=chosen,
        purpose=described.purpose if described else "",
        components=tuple(
            components.resolve(project, name, chosen, locked.modules.get(name), architecture)
            for name in names
        ),
        missing=catalog.missing(variant) if described else (),
        base_packages=tuple(sorted(catalog.packages.base)),
        drivers=served.supported if served and COMPONENT in names else (),
        debian=pins.debian,
        toolchain=pins.go.toolchain,
        zig=pins.zig.toolchain,
        file_time=project.file_time,
        created=locked.debian.time if chosen == "packages" else project.file_time,
        resolved=locked.debian.resolved if chosen == "packages" else (),
        inputs=inputs.of_plan(project, locked, available, chosen, architecture),
        architecture=architecture,
    )
