"""What one build will hold: pins and catalogue, resolved for one variant and one supply."""

from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

from worker_images.errors import UsageError
from worker_images.model.catalog import Catalog
from worker_images.model.pins import (
    ComponentPin,
    DebianPin,
    PackagesSource,
    Pins,
    Supply,
    VendorSource,
)

Architecture = Literal["amd64", "arm64"]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
# What compilers run on; other architectures are compiled for from there.
BUILDER: Architecture = "amd64"
# What --variant names for every variant at once.
ALL = "all"


@dataclass(frozen=True)
class Component:
    """A component with the source that this build takes it from."""

    name: str
    argument: str
    release: str
    source: PackagesSource | VendorSource

    @property
    def stamp(self) -> str:
        """The version that the component reports of itself."""
        return (isinstance(self.source, PackagesSource) and self.source.describe) or self.release

    @property
    def debian(self) -> tuple[str, ...]:
        """The Debian package that it is, if it is one."""
        return (
            (self.source.debian,)
            if isinstance(self.source, PackagesSource) and self.source.debian
            else ()
        )


@dataclass(frozen=True)
class Plan:
    """Everything that rendering needs; nothing in it depends on the machine."""

    variant: str
    supply: Supply
    purpose: str
    components: tuple[Component, ...]
    missing: tuple[str, ...]
    base_packages: tuple[str, ...]
    cgo_packages: tuple[str, ...]
    lock_packages: tuple[str, ...]
    unused_packages: tuple[str, ...]
    engine_packages: tuple[str, ...]
    debian: DebianPin
    toolchain: str
    epoch: int
    architecture: Architecture = "amd64"

    @property
    def cross(self) -> bool:
        """Whether the image is for another architecture than the one that builds it."""
        return self.architecture != BUILDER

    @property
    def name(self) -> str:
        """What the image is called: its variant, and its architecture where that is not the usual
        one.
        """
        return f"{self.variant}-{self.architecture}" if self.cross else self.variant

    @property
    def modules(self) -> tuple[Component, ...]:
        """The components that a Go compiler builds."""
        return tuple(
            c for c in self.components if isinstance(c.source, PackagesSource) and c.source.module
        )

    @property
    def wheels(self) -> tuple[Component, ...]:
        """The components that are a wheel of PyPI."""
        return tuple(
            c for c in self.components if isinstance(c.source, PackagesSource) and c.source.wheel
        )

    def as_data(self) -> dict[str, object]:
        """Plain data for JSON."""
        data = asdict(self)
        data["debian"] = self.debian.model_dump()
        for component, row in zip(self.components, data["components"], strict=True):
            row["source"] = component.source.model_dump(exclude_none=True)
        return data


def everything(pins: Pins, catalog: Catalog, supply: Supply | None = None) -> Plan:
    """A plan that holds every component, whichever variant it belongs to."""
    some = make(pins, catalog, next(iter(catalog.variants)), supply)
    components = tuple(
        _component(name, pins.components[name], some.supply) for name in catalog.components
    )
    return replace(some, variant="everything", components=components, missing=())


def make(
    pins: Pins,
    catalog: Catalog,
    variant: str,
    supply: Supply | None = None,
    architecture: Architecture = BUILDER,
) -> Plan:
    """Choose what goes in; raises UsageError for a variant that no folder describes."""
    if variant not in catalog.variants:
        raise UsageError(
            f"planning: no variant {variant!r}; there are: {', '.join(catalog.variants)}"
        )
    chosen = supply or pins.supply
    names = [name for name in catalog.variants[variant].components if name in catalog.components]
    return Plan(
        variant=variant,
        supply=chosen,
        purpose=catalog.variants[variant].purpose,
        components=tuple(_component(name, pins.components[name], chosen) for name in names),
        missing=catalog.missing(variant),
        base_packages=tuple(sorted(catalog.packages.base)),
        cgo_packages=tuple(sorted(catalog.packages.cgo)),
        lock_packages=tuple(sorted(catalog.packages.lock)),
        unused_packages=tuple(sorted(catalog.packages.unused)),
        engine_packages=tuple(sorted(catalog.packages.engine)),
        debian=pins.debian,
        toolchain=pins.go.toolchain,
        epoch=int(pins.source_date_epoch),
        architecture=architecture,
    )


def _component(name: str, pin: ComponentPin, supply: Supply) -> Component:
    return Component(
        name, pin.argument, pin.version, pin.packages if supply == "packages" else pin.vendor
    )
