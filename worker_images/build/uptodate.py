"""Find a finished build whose inputs did not change.

This module is imported at every start, so it imports only light modules.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from worker_images.build.record import Record, archive_stat, default_tag
from worker_images.files import MACHINE_SOCKET, PRIVATE_SOCKET, files_digest
from worker_images.model.tree import Tree

# Files of the program and its tests, which only a checkout has, and files that a project has too.
PROGRAM = (
    "build.py",
    "worker_images/**/*.py",
    "tests/image/**/*.py",
    "pyproject.toml",
    "requirements.txt",
)
PROJECT = (
    "images/**/*.yaml",
    "images/**/*.json",
    "images/**/go.sum",
    "versions.yaml",
    "versions.lock",
)


def test_files(tree: Tree) -> Iterator[Path]:
    """Yield the files that decide whether an image passes its tests."""
    for pattern in PROGRAM:
        yield from tree.checkout.glob(pattern)
    for folder in tree.folders:
        for pattern in PROJECT:
            yield from folder.glob(pattern)


def sources(root: Path) -> str:
    """Return one digest of all files of a project that builds and their tests read."""
    tree = Tree(root)
    folders = (folder.glob("images/**/*") for folder in tree.folders)
    build_files = (path for found in folders for path in found if path.is_file())
    return files_digest([*test_files(tree), *build_files], root)


def find_current(argv: list[str], root: Path) -> Record | None:
    """Return the record of a plain `--variant NAME` if its image is current, tested and tagged.

    None if anything changed, or for any other command line.
    """
    if len(argv) != 2 or argv[0] != "--variant" or not argv[1].isalnum():
        return None
    out = root / "out" / argv[1]
    found = Record.read(out / "build.json")
    if not found or not _is_unchanged(found, out, root):
        return None
    return found if _engine_id(default_tag(argv[1])) == found.engine_id else None


def _is_unchanged(found: Record, out: Path, root: Path) -> bool:
    """Whether the archive and the sources are those of the record."""
    if not found.source_digest:
        return False
    try:
        same_archive = archive_stat(out / "image.tar") == found.archive_stat
        return same_archive and sources(root) == found.source_digest
    except OSError:
        return False


def _engine_id(tag: str) -> str | None:
    """The ID that the local engine has for a tag.

    None for a remote engine, which could be slow to answer.
    """
    from worker_images.engine.daemon import DEFAULT_CONTEXT, current_context, is_local, query

    docker_host = os.environ.get("DOCKER_HOST")
    if not docker_host and current_context() != DEFAULT_CONTEXT:
        return None
    host = docker_host or f"unix://{MACHINE_SOCKET if MACHINE_SOCKET.exists() else PRIVATE_SOCKET}"
    if not is_local(host):
        return None
    image = query(host, f"/images/{quote(tag)}/json")
    return str(image.get("Id")) if image else None
