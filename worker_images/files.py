"""Paths outside the checkout: caches, sockets and temporary files; atomic writes."""

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from worker_images.errors import EngineError

# The checkout, or the GPU kit, that this package is part of.
ROOT = Path(__file__).resolve().parents[1]
MACHINE_SOCKET = Path("/var/run/docker.sock")
# The home folder of a user who has none; it never exists.
NO_HOME = Path("/proc/no-home")


def home() -> Path:
    """The user's home folder, or NO_HOME."""
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
    """Check that the cache can be written, without writing to it; raises EngineError."""
    fix = "set XDG_CACHE_HOME to a folder of yours"
    if CACHE.is_relative_to(NO_HOME):
        raise EngineError(
            f"no folder for the cache: HOME is not set and user {os.getuid()} has no passwd entry;"
            f" {fix}"
        )
    if not os.environ.get("XDG_CACHE_HOME") and not os.access(home(), os.X_OK):
        raise EngineError(f"user {os.getuid()} cannot enter the home folder {home()}; {fix}")
    existing = next(path for path in (CACHE, *CACHE.parents) if os.access(path, os.F_OK))
    if not os.access(existing, os.W_OK | os.X_OK):
        raise EngineError(
            f"user {os.getuid()} cannot write to {existing}, which is to hold the cache {CACHE};"
            f" {fix}"
        )


def without_stale_parts(folder: Path) -> Path:
    """Create the folder, remove unfinished files of killed processes, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("part-*"):
        # Another process may move its file into place meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path, renamed to `path` when the block succeeds.

    Readers of `path` never see an unfinished file.
    """
    # Two threads, or two machines that share a cache, may fetch the same package.
    part = path.with_name(f"part-{secrets.token_hex(6)}-{path.name}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Name a file in the errors of writing to it, such as those of a full disk."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, error.filename or str(path)) from error


def scratch() -> Path:
    """A folder for temporary files below the cache.

    A package's contents may be larger than the disk of TMPDIR.
    """
    return without_stale_parts(CACHE / "tmp")


def write_atomic(path: Path, text: str) -> None:
    """Write text; readers of `path` never see an unfinished file."""
    with atomic_path(path) as part:
        part.write_text(text)


def text_digest(text: str) -> str:
    """SHA-256 of text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def files_digest(paths: Iterable[Path], root: Path) -> str:
    """One digest of the names and contents of files."""
    total = hashlib.sha256()
    for path in sorted(set(paths)):
        name = path.relative_to(root) if path.is_relative_to(root) else path
        total.update(f"{name}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
