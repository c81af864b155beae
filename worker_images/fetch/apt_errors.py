"""Errors of apt-get, each with the next step."""

import re

from worker_images.errors import FetchError
from worker_images.fetch import access

# The next step for errors of apt-get that do not come from the network.
FIXES = {
    "No space left|enough free space": "free some space in the cache, or set XDG_CACHE_HOME",
    "Unable to locate package|no installation candidate": (
        "correct the package's name, or debian.suite in versions.yaml"
    ),
    "not valid yet": "{clock}, which is behind the mirror's; set it",
    "is expired": (
        "{clock}; if that is right, the mirror no longer gets updates: use another, or a snapshot,"
        " whose address has its time"
    ),
    "sync in progress|Hash Sum mismatch|unexpected size": (
        "the mirror is being updated; run again in a few minutes, or use another mirror"
    ),
    "not signed|NO_PUBKEY|EXPKEYSIG|expired": (
        "check the clock, debian-archive-keyring and debian.mirror in versions.yaml"
    ),
    "401": "the mirror needs a login: add it to ~/.netrc or to /etc/apt/auth.conf.d",
}
CHECK_NETWORK = "check debian.mirror in versions.yaml and the network"


def failure(action: str, errors: str) -> FetchError:
    """The error of an apt-get that failed, from its first message."""
    lines = (line for line in errors.splitlines() if line.startswith("E:"))
    cause = next(lines, errors.strip())
    fixes = (fix for pattern, fix in FIXES.items() if re.search(pattern, cause))
    fix = next(fixes, CHECK_NETWORK).replace("{clock}", access.clock())
    return FetchError(f"resolving Debian packages: apt-get {action}: {cause}; {fix}")
