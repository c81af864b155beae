"""Where things lie on the machine, outside the checkout."""

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from worker_images.errors import EngineError

# The checkout, or the GPU kit, that this package is part of.
ROOT = Path(__file__).resolve().parents[1]
MACHINE_SOCKET = Path("/var/run/docker.sock")
# What stands for the home folder of a user who has none; nothing is ever there.
NO_HOME = Path("/proc/no-home")


def home() -> Path:
    """The user's home folder, or what stands for none."""
    try:
        return Path.home()
    except RuntimeError:
        return NO_HOME


# Shared by all checkouts of one user.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache").absolute() / "worker-images"
ENGINE = CACHE / "engine"
PRIVATE_SOCKET = ENGINE / "docker.sock"
STALE_SECONDS = 3600
# Programs of the workload layer, below a checkout and below a GPU kit.
PROBES = "tests/workload/probes"


def check_cache() -> None:
    """Refuse a cache that cannot be written, before any work.

    Raises EngineError. Nothing is made.
    """
    fix = "set XDG_CACHE_HOME to a folder of yours"
    if CACHE.is_relative_to(NO_HOME):
        raise EngineError(
            f"HOME is not set and user {os.getuid()} has no passwd entry, so there is no place for"
            f" the cache; {fix}"
        )
    if not os.environ.get("XDG_CACHE_HOME") and not os.access(home(), os.X_OK):
        raise EngineError(f"user {os.getuid()} cannot enter the home folder {home()}; {fix}")
    there = next(path for path in (CACHE, *CACHE.parents) if os.access(path, os.F_OK))
    if not os.access(there, os.W_OK | os.X_OK):
        raise EngineError(
            f"user {os.getuid()} may not write to {there}, where the cache {CACHE} would be; {fix}"
        )


def without_stale_parts(folder: Path) -> Path:
    """The folder, there and without the unfinished files of processes that were killed."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("part-*"):
        # Who writes one may put it in place meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A name to write a file under, which takes its own when the block ends well: no reader ever
    sees half of it.
    """
    # Two threads, or two machines that share a cache, may fetch one package.
    part = path.with_name(f"part-{secrets.token_hex(6)}-{path.name}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def scratch() -> Path:
    """A folder for temporary files with room for a package's contents, which TMPDIR need not
    have.
    """
    return without_stale_parts(CACHE / "tmp")


def write_atomic(path: Path, text: str) -> None:
    """Write text so that no reader ever sees half of it."""
    with atomic_path(path) as part:
        part.write_text(text)


def text_digest(text: str) -> str:
    """SHA-256 of text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
