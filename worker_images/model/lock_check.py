"""Validation of every entry of a lock, because a reviewer may overlook a wrong one."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from worker_images.model.lock import Lock, Module, Package, Roots, Toolchain, Wheel
from worker_images.model.pins import PACKAGE, SHA256, VERSION

SUM = re.compile(r"h1:[0-9A-Za-z+/]{43}=")
# A module, its version and its sum: a line of go.sum.
FORK = re.compile(rf"[^ ]+ v[^ ]+ {SUM.pattern}")
PLATFORM = re.compile(r"manylinux[0-9_]+_[0-9a-z_]+")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def faults(lock: Lock) -> Iterator[str]:
    """A line for each invalid entry, with its key."""
    if not lock.debian.resolved or not all(map(_is_time, lock.debian.resolved)):
        yield "debian.resolved: not a list of ISO 8601 timestamps"
    for architecture, roots in lock.packages.items():
        for fault in _of_roots(roots, (lock.debian.mirror, lock.debian.security)):
            yield f"packages.{architecture}.{fault}"
    yield from _of_go(lock)
    for architecture, wheels in lock.wheels.items():
        for name in (name for name, wheel in wheels.items() if not _is_wheel(wheel)):
            yield (
                f"wheels.{architecture}.{name}: invalid entry (needs version, platform, sha256,"
                " size)"
            )
    for each in lock.published:
        if not DIGEST.fullmatch(each.digest):
            yield f"published.{each.address}: invalid digest"


def _of_go(lock: Lock) -> Iterator[str]:
    if not _is_toolchain(lock.toolchain):
        yield "toolchain: invalid entry (needs version, sum, size)"
    for name, module in lock.modules.items():
        if not _is_module(module):
            yield f"modules.{name}: invalid entry (needs mod, sum, size; with patches, tree)"


def _of_roots(roots: Roots, mirrors: tuple[str, str]) -> Iterator[str]:
    known = Counter(package.name for package in roots.files)
    below = tuple(f"{mirror}/" for mirror in mirrors)
    for package in roots.files:
        if not _is_package(package) or known[package.name] > 1:
            yield f"files.{package.name}: invalid or duplicate entry (needs name, sha256, size)"
        if not package.url.startswith(below) or "/../" in package.url:
            yield f"files.{package.name}: {package.url} is not below {' or '.join(mirrors)}"
    for root, names in roots.names.items():
        held = set(roots.holds.get(root, ()))
        missing = ({*names, *held} - known.keys()) or (set(names) - held)
        if missing:
            yield f"holds.{root}: not in files: {', '.join(sorted(missing))}"


def _is_package(package: Package) -> bool:
    named = re.fullmatch(PACKAGE, package.name)
    return bool(named) and _is_sha256(package.sha256) and _is_size(package.size)


def _is_toolchain(toolchain: Toolchain) -> bool:
    return bool(SUM.fullmatch(toolchain.sum)) and _is_size(toolchain.size)


def _is_module(module: Module) -> bool:
    digests = [module.mod, module.sum, *(patch.sha256 for patch in module.patches)]
    digests += [module.tree] * bool(module.tree or module.patches)
    fork = not module.replace or FORK.fullmatch(module.replace)
    return bool(fork) and all(map(_is_sha256, digests)) and _is_size(module.size)


def _is_wheel(wheel: Wheel) -> bool:
    named = re.fullmatch(VERSION, wheel.version) and PLATFORM.fullmatch(wheel.platform)
    return bool(named) and _is_sha256(wheel.sha256) and _is_size(wheel.size)


def _is_sha256(text: object) -> bool:
    return isinstance(text, str) and bool(re.fullmatch(SHA256, text))


def _is_time(text: str) -> bool:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").tzinfo is not None
    except (ValueError, TypeError):
        return False


def _is_size(size: object) -> bool:
    return type(size) is int and size > 0
