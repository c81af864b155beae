"""Validation of every entry of a lock, because a reviewer may overlook a wrong one."""

import re
from collections.abc import Iterator
from datetime import datetime

from worker_images.model.lock import Lock, Roots
from worker_images.model.pins import PACKAGE, SHA256, VERSION

SUM = re.compile(r"h1:[0-9A-Za-z+/]{43}=")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def faults(lock: Lock) -> Iterator[str]:
    """A line for each invalid entry, with its key."""
    if not _is_time(lock.debian.resolved):
        yield "debian.resolved: not an ISO 8601 timestamp"
    for architecture, roots in lock.packages.items():
        for fault in _of_roots(roots, (lock.debian.mirror, lock.debian.security)):
            yield f"packages.{architecture}.{fault}"
    if not SUM.fullmatch(lock.toolchain.sum) or not _is_size(lock.toolchain.size):
        yield "toolchain: invalid entry (needs version, sum, size)"
    for name, module in lock.modules.items():
        if not all(
            re.fullmatch(SHA256, digest) for digest in (module.mod, module.sum)
        ) or not _is_size(module.size):
            yield f"modules.{name}: invalid entry (needs mod, sum, size)"
    for name, wheel in lock.wheels.items():
        if not (
            re.fullmatch(SHA256, wheel.sha256)
            and re.fullmatch(VERSION, wheel.version)
            and _is_size(wheel.size)
        ):
            yield f"wheels.{name}: invalid entry (needs version, sha256, size)"
    yield from (
        f"published.{each.address}: invalid digest"
        for each in lock.published
        if not DIGEST.fullmatch(each.digest)
    )


def _of_roots(roots: Roots, mirrors: tuple[str, str]) -> Iterator[str]:
    known = [package.name for package in roots.files]
    for package in roots.files:
        valid = (
            re.fullmatch(PACKAGE, package.name)
            and re.fullmatch(SHA256, package.sha256)
            and _is_size(package.size)
        )
        if not valid or known.count(package.name) > 1:
            yield f"files.{package.name}: invalid or duplicate entry (needs name, sha256, size)"
        if (
            not package.url.startswith(tuple(f"{mirror}/" for mirror in mirrors))
            or "/../" in package.url
        ):
            yield f"files.{package.name}: {package.url} is not below {' or '.join(mirrors)}"
    for root, names in roots.names.items():
        held = roots.holds.get(root, ())
        if missing := sorted({*names, *held} - set(known)) or sorted(set(names) - set(held)):
            yield f"holds.{root}: not in files: {', '.join(missing)}"


def _is_time(text: str) -> bool:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").tzinfo is not None
    except (ValueError, TypeError):
        return False


def _is_size(size: object) -> bool:
    return type(size) is int and size > 0
