"""Paths below a root that other programs wrote: no link in it leads outside."""

import stat
from collections.abc import Iterator
from pathlib import Path

# What Linux follows at most.
MAX_LINKS = 40


def resolve(root: Path, path: str) -> Path | None:
    """Follow the links of a path as a program does whose root this is.

    None if the path does not exist, cannot be read, or has too many links.
    """
    waiting, found, links = path.split("/")[::-1], list[str](), 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            found = found[:-1]
        elif part not in ("", "."):
            here = root.joinpath(*found, part)
            try:
                target = str(here.readlink()) if here.is_symlink() else ""
                here.lstat()
            except OSError:
                return None
            links += bool(target)
            if links > MAX_LINKS:
                return None
            if target.startswith("/"):
                found = []
            waiting += target.split("/")[::-1]
            found = found if target else [*found, part]
    return root.joinpath(*found)


def regular_file(root: Path, path: str) -> Path | None:
    """Return the regular file behind a path; None for anything else, such as a socket."""
    found = resolve(root, path)
    try:
        return found if found and stat.S_ISREG(found.lstat().st_mode) else None
    except OSError:
        return None


def names(root: Path, folder: str) -> Iterator[str]:
    """Yield the names in a folder, in order; none if it cannot be read."""
    found = resolve(root, folder)
    try:
        yield from sorted(each.name for each in found.iterdir()) if found else ()
    except OSError:
        return
