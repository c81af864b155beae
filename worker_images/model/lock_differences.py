"""Differences of a lock: from the pins' request, and from a new lock."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from worker_images.errors import DriftError
from worker_images.model.lock import Lock


def from_request(lock: Lock, request: Mapping[str, str], name: str) -> Iterator[str]:
    """A line for each key in which the lock differs from the current request."""
    locked = lock.request
    for key in sorted({*locked, *request}):
        if locked.get(key) != request.get(key):
            difference = _difference(locked.get(key), request.get(key))
            yield f"{name}: {key}: {difference}; run: make lock"


def _difference(locked: str | None, requested: str | None) -> str:
    if locked is None:
        return f"not in the lock: {requested}"
    if requested is None:
        return "no longer needed"
    before, after = set(locked.split()), set(requested.split())
    removed, added = sorted(before - after), sorted(after - before)
    parts = [f"not in the lock: {' '.join(added)}"] if added else []
    parts += [f"no longer needed: {' '.join(removed)}"] if removed else []
    return "; ".join(parts) or f"locked {locked}, want {requested}"


def of_packages(path: Path, text: str) -> Iterator[str]:
    """A line for each Debian package that differs between the lock on disk and a new lock's text.

    Yields nothing if the file is missing or not valid.
    """
    try:
        before = Lock.read(path).packages
    except DriftError:
        return
    for architecture, roots in json.loads(text)["packages"].items():
        files = before[architecture].files if architecture in before else ()
        old = {each.name: each.version for each in files}
        new = {row["name"]: row["version"] for row in roots["files"]}
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                yield (
                    f"  {architecture}: {name}: {old.get(name, 'absent')} ->"
                    f" {new.get(name, 'removed')}"
                )
