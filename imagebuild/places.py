"""Where things lie on the machine, outside the checkout."""

import os
import time
from pathlib import Path

MACHINE_SOCKET = Path("/var/run/docker.sock")
# Shared by all checkouts of one user.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "worker-images"
ENGINE = CACHE / "engine"
PRIVATE_SOCKET = ENGINE / "docker.sock"
STALE_SECONDS = 3600


def sweep(folder: Path) -> None:
    """Remove the unfinished files of processes that were killed."""
    for path in folder.glob("part-*"):
        if path.is_file() and time.time() - path.stat().st_mtime > STALE_SECONDS:
            path.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that no reader ever sees half of it."""
    part = path.with_name(f"part-{os.getpid()}-{path.name}")
    part.write_text(text)
    part.replace(path)
