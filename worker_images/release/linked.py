"""C libraries that are linked into programs statically, as packages of the lock."""

from worker_images.build.component import Component
from worker_images.build.inputs import CGO, TARGET, Root
from worker_images.build.plan import Plan
from worker_images.build.requirements import DEVELOPMENT
from worker_images.model import lock
from worker_images.model.catalog import Catalog
from worker_images.model.component import GoModule
from worker_images.model.oci import elf
from worker_images.model.oci.image import Image
from worker_images.release.owners import Program


def libraries(
    image: Image, program: Program, component: Component, plan: Plan, catalog: Catalog
) -> tuple[lock.Package, ...]:
    """Return the packages whose libraries a program contains; none if it loads them."""
    if not isinstance(component.origin, GoModule) or component.builder != CGO:
        return ()
    if elf.dynamic(image.read(program.entry)).needed:
        return ()
    names = {*catalog.packages.cgo, *component.origin.builder_packages}
    return tuple(
        package
        for root in plan.inputs
        if isinstance(root, Root) and root.owner in {CGO, TARGET, component.name}
        for package in root.packages
        if package.name in names and package.name.endswith(DEVELOPMENT)
    )
