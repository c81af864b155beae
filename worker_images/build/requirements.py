"""What builds ask of the registries: the lock must hold an answer to just these questions."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from worker_images.build import plan, render
from worker_images.build.plan import Architecture, Plan
from worker_images.build.record import text_digest
from worker_images.errors import DriftError
from worker_images.model import lock_check
from worker_images.model.catalog import Catalog
from worker_images.model.lock import Lock, Published, faults, lock_of
from worker_images.model.pins import PackagesSource, Pins

# The private engine's root filesystem, for whatever architecture images are.
ENGINE = "engine"


@dataclass(frozen=True)
class Asked:
    """Names of Debian packages for each root filesystem, and the root that each is unpacked on."""

    names: Mapping[str, tuple[str, ...]]
    below: Mapping[str, str]


def roots(everything: Plan, root: Path) -> Asked:
    """The root filesystems of one architecture: the base, the compilers', those of components."""
    names = {"base": everything.base_packages}
    if not everything.cross:
        names |= {
            "cgo": (*names["base"], *everything.cgo_packages),
            ENGINE: everything.engine_packages,
        }
    below = {"cgo": "base"}
    for component in everything.components:
        below[component.name] = "cgo" if render.uses_cgo(everything, component, root) else "base"
        if extra := (*render.builder_packages(everything, component, root), *component.debian):
            names[component.name] = (*names[below[component.name]], *extra)
    return Asked(names, below)


def everything(pins: Pins, known: Catalog, root: Path, architecture: Architecture) -> Plan:
    """A plan of every component that can be built for an architecture, from package registries."""
    whole = replace(plan.everything(pins, known, "packages"), architecture=architecture)
    return replace(
        whole,
        components=tuple(
            each
            for each in whole.components
            if architecture in render.architectures(whole, each, root)
        ),
    )


def published(pins: Pins, known: Catalog, root: Path) -> tuple[Published, ...]:
    """What the other supply fetches by digest; its Debian packages are signed, not pinned."""
    text = render.dockerfile(plan.everything(pins, known, "vendor"), root)
    arguments = dict(re.findall(r'^ARG (\w+)="([^"]*)"$', text, re.MULTILINE))
    text = re.sub(r"\$\{(\w+)\}", lambda match: arguments.get(match[1], match[0]), text)
    images = re.findall(r"^FROM (\S+)@(sha256:[0-9a-f]{64})", text, re.MULTILINE)
    files = re.findall(r"^ADD --checksum=(\S+) (http\S+)", text, re.MULTILINE)
    summed = re.findall(r'^ADD (http\S+) \S+\nRUN echo "([0-9a-f]{128})  ', text, re.MULTILINE)
    found = {
        *images,
        *((address, digest) for digest, address in files),
        *((address, f"sha512:{digest}") for address, digest in summed),
    }
    return tuple(Published(*each) for each in sorted(found))


def asked(pins: Pins, known: Catalog, root: Path) -> dict[str, str]:
    """Every question, by the key that the lock's answer has."""
    plans = {
        architecture: everything(pins, known, root, architecture)
        for architecture in plan.ARCHITECTURES
    }
    found = {
        f"debian.{key}": getattr(pins.debian, key) for key in ("suite", "mirror", "security")
    } | {"go.toolchain": pins.go.toolchain}
    for architecture, planned in plans.items():
        found |= {
            f"packages.{architecture}.{name}": " ".join(names)
            for name, names in roots(planned, root).names.items()
        }
    for component in plans[plan.BUILDER].components:
        source = component.source
        assert isinstance(source, PackagesSource)
        if source.module:
            found[f"modules.{component.name}"] = f"{source.module} {source.version}"
        if source.wheel:
            found[f"wheels.{component.name}"] = f"{source.wheel} {source.version} {source.sha256}"
    return found | {
        f"published.{each.address}": each.digest for each in published(pins, known, root)
    }


def load(versions: Path, pins: Pins, known: Catalog, root: Path) -> Lock:
    """The lock, held against pins and folders; raises DriftError with everything that changed."""
    path = lock_of(versions)
    lock = Lock.read(path)
    odd = [f"{path.name}: {fault}; run: make lock" for fault in lock_check.faults(lock)]
    if found := [*odd, *faults(lock, asked(pins, known, root), path.name), *_sums(lock, root)]:
        raise DriftError("\n".join(found))
    return lock


def _sums(lock: Lock, root: Path) -> Iterator[str]:
    for name, module in lock.modules.items():
        for file, digest in (("go.mod", module.mod), ("go.sum", module.sum)):
            path = Path("images/components") / name / file
            if not (root / path).is_file() or text_digest((root / path).read_text()) != digest:
                yield f"{path}:1:1: not the file that versions.lock names; run: make lock"
