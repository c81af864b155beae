"""Find a finished build whose inputs did not change.

This module is imported at every start, so it imports only light modules.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from worker_images.build.record import Record, archive_stat, default_tag
from worker_images.files import MACHINE_SOCKET, PRIVATE_SOCKET


def test_files(root: Path) -> Iterator[Path]:
    """Yield the files that decide whether an image passes its tests."""
    for pattern in (
        "build.py",
        "worker_images/**/*.py",
        "tests/image/**/*.py",
        "images/**/*.yaml",
        "images/**/*.json",
        "images/**/go.sum",
        "versions.yaml",
        "versions.lock",
        "pyproject.toml",
        "requirements.txt",
    ):
        yield from root.glob(pattern)


def digest(paths: Iterable[Path], root: Path) -> str:
    """Return one digest of the files' names and contents."""
    total = hashlib.sha256()
    for path in sorted(set(paths)):
        name = path.relative_to(root) if path.is_relative_to(root) else path
        total.update(f"{name}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def sources(root: Path) -> str:
    """Return one digest of all files of the checkout that builds and their tests read."""
    build_files = filter(Path.is_file, root.glob("images/**/*"))
    return digest([*test_files(root), *build_files], root)


def find_current(argv: list[str], root: Path) -> Record | None:
    """Return the record of a plain `--variant NAME` if its image is current, tested and tagged.

    None if anything changed, or for any other command line.
    """
    if len(argv) != 2 or argv[0] != "--variant" or not argv[1].isalnum():
        return None
    from worker_images.engine.daemon import DEFAULT_CONTEXT, current_context, is_local, query

    out = root / "out" / argv[1]
    found = Record.read(out / "build.json")
    try:
        if not found or not found.source_digest:
            return None
        if archive_stat(out / "image.tar") != found.archive_stat:
            return None
        if sources(root) != found.source_digest:
            return None
    except OSError:
        return None
    docker_host = os.environ.get("DOCKER_HOST")
    if not docker_host and current_context() != DEFAULT_CONTEXT:
        return None
    host = docker_host or f"unix://{MACHINE_SOCKET if MACHINE_SOCKET.exists() else PRIVATE_SOCKET}"
    # A remote engine is not queried here, because that can be slow.
    image = query(host, f"/images/{quote(default_tag(argv[1]))}/json") if is_local(host) else None
    return found if image and image.get("Id") == found.engine_id else None
