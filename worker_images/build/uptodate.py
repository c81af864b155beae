"""The quick answer: when no input file changed and the engine still holds the image, nothing heavy
is even imported.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from worker_images.build.record import Record, default_tag, stamp
from worker_images.files import MACHINE_SOCKET, PRIVATE_SOCKET


def test_files(root: Path) -> Iterator[Path]:
    """The files that decide whether an image passes."""
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
    """One digest of names and contents."""
    total = hashlib.sha256()
    for path in sorted(set(paths)):
        name = path.relative_to(root) if path.is_relative_to(root) else path
        total.update(f"{name}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def sources(root: Path) -> str:
    """One digest of every file of the checkout that a build or its judge reads."""
    made_from = filter(Path.is_file, root.glob("images/**/*"))
    return digest([*test_files(root), *made_from], root)


def look(argv: list[str], root: Path) -> Record | None:
    """The record, when `--variant NAME` alone was asked for and its image stands built, judged and
    tagged.
    """
    if len(argv) != 2 or argv[0] != "--variant" or not argv[1].isalnum():
        return None
    from worker_images.engine.daemon import DEFAULT_CONTEXT, current_context, is_local, query

    out = root / "out" / argv[1]
    found = Record.read(out / "build.json")
    try:
        if not found or not found.source_digest or stamp(out / "image.tar") != found.archive_stat:
            return None
        if sources(root) != found.source_digest:
            return None
    except OSError:
        return None
    named = os.environ.get("DOCKER_HOST")
    if not named and current_context() != DEFAULT_CONTEXT:
        return None
    host = named or f"unix://{MACHINE_SOCKET if MACHINE_SOCKET.exists() else PRIVATE_SOCKET}"
    # An engine elsewhere is not asked: that may take its time.
    known = query(host, f"/images/{quote(default_tag(argv[1]))}/json") if is_local(host) else None
    return found if known and known.get("Id") == found.engine_id else None
