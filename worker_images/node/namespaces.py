"""Files that stand for namespaces, such as those of `ip netns add`."""

from pathlib import Path

OWN = Path("/proc/self/ns/net")


def is_other_file(path: Path) -> bool:
    """Report if a path exists and is no namespace.

    `ip netns add` leaves an empty file where its mount does not reach.
    """
    try:
        return path.stat().st_dev != OWN.stat().st_dev
    except OSError:
        return False
