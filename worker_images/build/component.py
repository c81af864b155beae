"""A component, resolved for one source and architecture."""

from dataclasses import dataclass

from worker_images.build import published
from worker_images.build.compilers import ZIG
from worker_images.build.inputs import BUILDER
from worker_images.build.published import File
from worker_images.model.component import Architecture, CProgram, GoModule, Origin, UpstreamFile
from worker_images.model.lock import Module
from worker_images.model.pins import PackagesPin, Source, UpstreamPin
from worker_images.model.project import Project


@dataclass(frozen=True)
class Component:
    """A component, resolved for one source."""

    name: str
    argument: str
    label: str
    version: str
    reported_version: str
    template: str
    origin: Origin
    pin: PackagesPin | UpstreamPin | None
    module: Module | None
    lacks: tuple[str, ...]
    # The published file of the source upstream, if there is one.
    file: File | None = None

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its version, and of a fork and patches."""
        own = self.module.labels(self.name) if self.module else {}
        return {self.label: self.reported_version, **own}

    @property
    def builder(self) -> str | None:
        """Stage that compiles the component; None for one that is not compiled."""
        if isinstance(self.origin, CProgram):
            return ZIG
        return self.origin.builder if isinstance(self.origin, GoModule) else None

    @property
    def is_archive(self) -> bool:
        """True if its published file is an archive."""
        return isinstance(self.origin, UpstreamFile) and self.origin.is_archive(self.version)


def resolve(
    project: Project,
    name: str,
    source: Source,
    module: Module | None = None,
    architecture: Architecture = BUILDER,
) -> Component:
    """Resolve one component for one source and architecture, with its Go module of the lock."""
    pin, definition = project.pins.components[name], project.catalog.components[name]
    compiled = source == "packages"
    suffix = module.suffix if module else ""
    changes = f"{name}'s fork or patches ({suffix}): only --source packages compiles them"
    lacks = definition.origin(source).lacks
    files = () if compiled else published.files(project, name, architecture)
    return Component(
        name=name,
        argument=definition.argument,
        label=definition.label,
        version=pin.version,
        reported_version=pin.reported_version(source) + suffix * compiled,
        template=definition.template(name, source),
        origin=definition.origin(source),
        pin=pin.packages if compiled else pin.upstream,
        module=module if compiled else None,
        lacks=lacks if compiled or not suffix else (*lacks, changes),
        file=next(iter(files), None),
    )
