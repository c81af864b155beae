"""Where things lie on the machine, outside the checkout."""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

MACHINE_SOCKET = Path("/var/run/docker.sock")
# Shared by all checkouts of one user.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "worker-images"
ENGINE = CACHE / "engine"
PRIVATE_SOCKET = ENGINE / "docker.sock"
STALE_SECONDS = 3600


def swept(folder: Path) -> Path:
    """The folder, there and without the unfinished files of processes that were killed."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("part-*"):
        # Who writes one may put it in place meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write a file under, which takes its own when the block ends well: no reader ever sees half of it."""
    # Two threads, or two machines that share a cache, may fetch one package.
    part = path.with_name(f"part-{secrets.token_hex(6)}-{path.name}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def scratch() -> Path:
    """A folder for temporary files with room for a package's contents, which TMPDIR need not have."""
    return swept(CACHE / "tmp")


def write_whole(path: Path, text: str) -> None:
    """Write text so that no reader ever sees half of it."""
    with whole(path) as part:
        part.write_text(text)
