"""Where things lie on the machine, outside the checkout."""

import os
from pathlib import Path

MACHINE_SOCKET = Path("/var/run/docker.sock")
# Shared by all checkouts of one user.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "worker-images"
ENGINE = CACHE / "engine"
PRIVATE_SOCKET = ENGINE / "docker.sock"
