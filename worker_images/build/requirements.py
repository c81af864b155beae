"""What builds need from the registries, which versions.lock must match exactly."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from worker_images.build.compilers import ZIG
from worker_images.errors import DriftError
from worker_images.files import text_digest
from worker_images.model import lock_check, lock_differences, patches
from worker_images.model.catalog import Catalog
from worker_images.model.component import (
    Architecture,
    CProgram,
    DebianPackage,
    FromPackages,
    GoModule,
    Origin,
    UpstreamFile,
    UpstreamImage,
    UpstreamRepository,
    Wheel,
)
from worker_images.model.lock import Lock, Published, lock_of, requested
from worker_images.model.pins import ComponentPin
from worker_images.model.project import Project

# The end of the name of a package with headers and static libraries.
DEVELOPMENT = "-dev"
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
# The platform tags of wheels (PEP 599).
PLATFORMS: Mapping[Architecture, str] = {
    "amd64": "manylinux2014_x86_64",
    "arm64": "manylinux2014_aarch64",
}


@dataclass(frozen=True)
class RootRequest:
    """Debian package names of each root filesystem, and the root below each."""

    names: Mapping[str, tuple[str, ...]]
    below: Mapping[str, str]


def roots(catalog: Catalog, architecture: Architecture) -> RootRequest:
    """Return the root filesystems for one architecture: base, tools, components."""
    base = tuple(sorted(catalog.packages.base))
    names = {"base": base}
    # Compilers and tools run on amd64.
    if architecture == "amd64":
        names["cgo"] = (*base, *sorted(catalog.packages.cgo))
        names["cross"] = (*base, *sorted(catalog.packages.cross))
        names |= {tool: tuple(sorted(own)) for tool, own in catalog.packages.tools.items()}
    else:
        names["target"] = tuple(sorted(catalog.packages.target))
    below = {"cgo": "base", "cross": "base"}
    compiler = "cgo" if architecture == "amd64" else "target"
    for name, definition in catalog.components.items():
        origin = definition.packages
        cgo = isinstance(origin, GoModule) and origin.builder == "cgo"
        below[name] = compiler if cgo else "base"
        own = _packages(origin)
        if compiler == "target" and not isinstance(origin, DebianPackage):
            # Programs run on amd64: those of cgo are among cross, others in amd64's own root.
            own = tuple(each for each in own if each.endswith(DEVELOPMENT))
        if own and architecture in origin.architectures:
            names[name] = (*names[below[name]], *own)
    return RootRequest(names, below)


def _packages(origin: FromPackages) -> tuple[str, ...]:
    """The Debian packages of a component, or of the stage that makes it."""
    if isinstance(origin, CProgram):
        return ()
    return origin.names if isinstance(origin, DebianPackage) else origin.builder_packages


def wheels(project: Project) -> dict[Architecture, dict[str, tuple[str, str]]]:
    """Return the project and version of each wheel by its owner: a component or the compiler."""
    found: dict[Architecture, dict[str, tuple[str, str]]] = {each: {} for each in ARCHITECTURES}
    origins = {name: each.packages for name, each in project.catalog.components.items()}
    for name, origin in origins.items():
        if isinstance(origin, Wheel):
            version = str(project.pins.components[name].packages.version)
            for architecture in origin.architectures:
                found[architecture][name] = (origin.project, version)
    if any(isinstance(origin, CProgram) for origin in origins.values()):
        # The compiler runs on amd64, for both.
        found["amd64"][ZIG] = ("ziglang", project.pins.zig.toolchain)
    return found


def request(project: Project) -> dict[str, str]:
    """Return the values that the lock must match, by key."""
    pins, catalog = project.pins, project.catalog
    found = {
        f"debian.{key}": getattr(pins.debian, key) for key in ("suite", "mirror", "security")
    } | {"go.toolchain": pins.go.toolchain}
    for architecture in ARCHITECTURES:
        for name, names in roots(catalog, architecture).names.items():
            found[f"packages.{architecture}.{name}"] = " ".join(names)
    for name, definition in catalog.components.items():
        origin, version = definition.packages, pins.components[name].packages.version
        if isinstance(origin, GoModule):
            fork = pins.components[name].packages.replace
            found[f"modules.{name}"] = requested(
                origin.module,
                str(version),
                f"{fork.module} {fork.version}" if fork else "",
                origin.commands,
                (each.locked for each in patches.read(project.root, name)),
            )
    for architecture, owners in wheels(project).items():
        for name, (wheel, version) in owners.items():
            found[f"wheels.{architecture}.{name}"] = f"{wheel} {version} {PLATFORMS[architecture]}"
    for each in published(project):
        found[f"published.{each.address}"] = each.digest
    return found


def published(project: Project) -> tuple[Published, ...]:
    """Return all that source upstream pins by digest, sorted.

    Debian packages are not included: they are signed, not pinned by digest.
    """
    names = tuple(project.catalog.components)
    found = {
        each for architecture in ARCHITECTURES for _, each in pinned(project, names, architecture)
    }
    return tuple(sorted(found, key=lambda each: each.address))


def pinned(
    project: Project, components: Sequence[str], architecture: Architecture
) -> Iterator[tuple[str, Published]]:
    """Yield each image and file of source upstream with its owner: the base or a component."""
    debian = project.pins.debian
    yield "base", Published(debian.image, debian.digest)
    for name in components:
        pin, origin = project.pins.components[name], project.catalog.components[name].upstream
        if isinstance(origin, UpstreamImage) and pin.upstream:
            yield name, Published(f"{origin.image}:{pin.version}", str(pin.upstream.digest))
        elif file := published_file(origin, pin, architecture):
            yield name, file


def published_file(
    origin: Origin, pin: ComponentPin, architecture: Architecture
) -> Published | None:
    """Return the pinned file of a component: a program, an archive, or a repository's key."""
    if isinstance(origin, UpstreamRepository) and pin.upstream:
        return Published(origin.key, pin.upstream.text)
    digest = pin.upstream.of_file(architecture) if pin.upstream else None
    if not isinstance(origin, UpstreamFile) or not digest:
        return None
    return Published(origin.address(pin.version, architecture), digest.text)


def load(project: Project) -> Lock:
    """Read the lock and compare it with pins and images/; raises DriftError with all changes."""
    path = lock_of(project.versions)
    lock, name = Lock.read(path), shown(project)
    faults = [f"{name}: {fault}; run: make lock" for fault in lock_check.faults(lock)]
    faults += lock_differences.from_request(lock, request(project), name)
    faults += _sums(lock, project)
    if faults:
        raise DriftError("\n".join(faults))
    check_file_time(project, lock)
    return lock


def shown(project: Project) -> str:
    """The name of the lock in messages."""
    path = lock_of(project.versions)
    return path.name if project.stands_alone else str(path)


def check_file_time(project: Project, lock: Lock) -> None:
    """Check that files are not later than the lock; raises DriftError.

    BuildKit would set later files back to the time of the lock, and so change reviewed layers.
    """
    if project.file_time > lock.debian.time:
        raise DriftError(
            str(
                project.document.finding(
                    ("file_time",),
                    f"later than {shown(project)}",
                    f"its last time is {lock.debian.resolved[-1]}, {lock.debian.time}",
                    "use an earlier file_time",
                )
            )
        )


def _sums(lock: Lock, project: Project) -> Iterator[str]:
    for name, module in lock.modules.items():
        for file, digest in (("go.mod", module.mod), ("go.sum", module.sum)):
            path = project.tree.part(name, file)
            if not path.is_file() or text_digest(path.read_text()) != digest:
                yield f"{project.tree.name(path)}:1:1: differs from versions.lock; run: make lock"
