"""The inputs of a build, each with a name, a digest, a place in the context and an owner."""

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worker_images.build import published, requirements
from worker_images.build.compilers import ZIG, Toolchain, Zig, source_of
from worker_images.build.published import File, Image
from worker_images.fetch import gomod
from worker_images.files import text_digest
from worker_images.model import lock, patches
from worker_images.model.component import Architecture, CProgram
from worker_images.model.drivers import contract
from worker_images.model.drivers.table import COMPONENT
from worker_images.model.lock import Lock, Package
from worker_images.model.pins import Source
from worker_images.model.project import Project
from worker_images.model.rootfs import Rules, dropping

# Compilers run on this architecture; they cross-compile for the others.
BUILDER: Architecture = "amd64"
# Root filesystems that do not contain a component.
BASE, CGO, NATIVE = "base", "cgo", "native"
CLUSTER, ENGINE, RELEASE = "cluster", "engine", "release"
# Programs that apply patches of components.
PATCH = "patch"
# A compiler for another architecture, and what that architecture has for it.
CROSS, TARGET = "cross", "target"


@dataclass(frozen=True)
class Text:
    """A small file of the checkout, read when the build starts."""

    owner: str
    place: str
    content: str

    @property
    def name(self) -> str:
        """Path below images/."""
        return self.place

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return text_digest(self.content)


@dataclass(frozen=True)
class Root:
    """Debian packages, merged into one root filesystem tar."""

    owner: str
    packages: tuple[Package, ...]
    rules: Rules

    @property
    def name(self) -> str:
        """Name of the packages in records and messages."""
        return f"{self.owner} packages"

    @property
    def place(self) -> str:
        """Path of the tar."""
        return f"{self.owner}.tar"

    @property
    def digest(self) -> str:
        """SHA-256 of the packages' digests, the rules, and the code that assembles them."""
        merged = [each.sha256 for each in self.packages]
        return text_digest("".join([*merged, self.rules.model_dump_json(), source_of("rootfs.py")]))

    @property
    def is_base(self) -> bool:
        """True if it also contains the files that maintainer scripts would generate."""
        return self.owner in {BASE, NATIVE, ENGINE, CLUSTER}


@dataclass(frozen=True)
class Modules:
    """All Go modules that a component is compiled from, as files of a module proxy."""

    owner: str
    files: tuple[gomod.File, ...]
    place: str = "modules"

    @property
    def name(self) -> str:
        """Name of the modules in records and messages."""
        return f"{self.owner} modules"

    @property
    def digest(self) -> str:
        """SHA-256 of their names and checksums."""
        return text_digest("".join(f"{each.name} {each.sum}\n" for each in self.files))


@dataclass(frozen=True)
class Wheel:
    """A wheel from PyPI."""

    owner: str
    wheel: lock.Wheel

    @property
    def name(self) -> str:
        """Name of the wheel in records and messages."""
        return f"{self.owner} wheel for {self.wheel.platform}"

    @property
    def place(self) -> str:
        """Path of the wheel."""
        return f"wheels/{self.wheel.project}-{self.wheel.version}.whl"

    @property
    def digest(self) -> str:
        """SHA-256 of the wheel."""
        return self.wheel.sha256


# What is written to the cache as a tar.
Tar = Root | Toolchain | Zig
Input = Text | Tar | Modules | Wheel | Image | File


def of_plan(
    project: Project,
    locked: Lock,
    components: Sequence[str],
    source: Source,
    architecture: Architecture,
) -> tuple[Input, ...]:
    """Return the inputs of components from one source, in a fixed order; raises DriftError."""
    if source == "upstream":
        return (
            *_contract(project, components),
            *_c_programs(project, locked, components, source),
            *published.of_components(project, components, architecture),
        )
    found: list[Input] = list(_roots(project, locked, components, architecture))
    modules = [name for name in components if name in locked.modules]
    if modules:
        release = gomod.toolchain(locked.toolchain.version, locked.toolchain.sum)
        found.append(Toolchain(release))
    for name in modules:
        for file in ("go.mod", "go.sum"):
            place = f"components/{name}/{file}"
            path = project.tree.part(name, file)
            found.append(Text(name, place, path.read_text()))
        found += [Text(name, each.place, each.text) for each in patches.read(project.root, name)]
        found.append(Modules(name, gomod.of_component(project.tree, name)))
    wheels = locked.wheels[architecture]
    found += [Wheel(name, wheels[name]) for name in components if name in wheels]
    found += _c_programs(project, locked, components, source)
    return (*found, *_contract(project, components))


def tools(project: Project, locked: Lock, owner: str) -> Root:
    """Return a root filesystem of tools, a group of images/base/packages.yaml."""
    return Root(owner, locked.packages[BUILDER].of(owner), project.catalog.rules)


def _c_programs(
    project: Project, locked: Lock, components: Sequence[str], source: Source
) -> Iterator[Text | Zig]:
    """Yield the sources of C programs, and their compiler."""
    names = [
        name
        for name in components
        if isinstance(project.catalog.components[name].origin(source), CProgram)
    ]
    if names:
        yield Zig(locked.wheels[BUILDER][ZIG])
    for name in names:
        text = project.tree.part(name, f"{name}.c").read_text()
        yield Text(name, f"components/{name}/{name}.c", text)


def _contract(project: Project, components: Sequence[str]) -> Iterator[Text]:
    row = project.table.get(project.release)
    if row and COMPONENT in components:
        place = f"components/{COMPONENT}/{contract.FILE}"
        yield Text(COMPONENT, place, contract.text(row))


def _roots(
    project: Project, locked: Lock, components: Sequence[str], architecture: Architecture
) -> Iterator[Root]:
    """Yield each root filesystem, without the packages of the root below it."""
    own, native = locked.packages[architecture], locked.packages[BUILDER]
    below = requirements.roots(project.catalog, architecture).below
    rules = project.catalog.rules
    yield Root(BASE, own.of(BASE), rules)
    if architecture != BUILDER:
        yield Root(NATIVE, native.of(BASE), rules)
    if any(below[name] == CGO for name in components):
        yield Root(CGO, without(project, native.of(CGO), native.of(BASE)), rules)
    if any(below[name] == TARGET for name in components):
        yield Root(CROSS, without(project, native.of(CROSS), native.of(BASE)), rules)
        yield Root(TARGET, without(project, own.of(TARGET), ()), rules)
    if any(name in locked.modules and locked.modules[name].patches for name in components):
        yield patch_program(project, locked)
    for name in components:
        if name in own.holds:
            packages = without(project, own.of(name), own.of(below[name]))
            yield Root(name, packages, dropping(rules, project.catalog.dropped([name])))
        elif below[name] == BASE and name in native.holds:
            # Programs that run here.
            yield Root(name, without(project, native.of(name), native.of(BASE)), rules)


def patch_program(project: Project, locked: Lock) -> Root:
    """Return the programs that apply patches, on top of the base."""
    native = locked.packages[BUILDER]
    return Root(PATCH, without(project, native.of(PATCH), native.of(BASE)), project.catalog.rules)


def without(
    project: Project, packages: tuple[Package, ...], below: tuple[Package, ...]
) -> tuple[Package, ...]:
    """Return packages without those of the root below and without unused ones."""
    unused = tuple(project.catalog.packages.unused)
    return tuple(
        package
        for package in packages
        if package not in below
        and not any(fnmatch.fnmatchcase(package.name, pattern) for pattern in unused)
    )
