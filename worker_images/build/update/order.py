"""Versions in order: which are newer, which are of one release line, which are no releases at
all.
"""

import re
from collections.abc import Iterable

RELEASE = re.compile(r"v?[0-9]{1,18}(\.[0-9]{1,18})+")
PSEUDO = re.compile(r"v0\.0\.0-([0-9]{14})-([0-9a-f]{12})")
# Of each release line, the pinned one and all others.
MOST_OF_A_LINE = 4


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers, so that 1.26.11 follows 1.26.9; a pseudo-version counts by its date."""
    if pseudo := PSEUDO.fullmatch(version):
        return (int(pseudo[1]),)
    return tuple(int(part) for part in re.findall(r"[0-9]+", version))


def line(version: str) -> tuple[int, ...]:
    """The minor release line."""
    return numbers(version)[:2]


def is_release(version: str) -> bool:
    """Whether it is neither a candidate nor a commit."""
    return RELEASE.fullmatch(version) is not None


def newer(versions: Iterable[str], pinned: str) -> list[str]:
    """The releases after the pinned one, newest first, a few of its line and a few of the
    others.
    """
    found = sorted(
        {v for v in versions if is_release(v) and numbers(v) > numbers(pinned)},
        key=numbers,
        reverse=True,
    )
    own = [version for version in found if line(version) == line(pinned)]
    other = [version for version in found if version not in own]
    return other[:MOST_OF_A_LINE] + own[:MOST_OF_A_LINE]
