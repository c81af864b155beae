"""Versions as people and machines write them, made one form, or refused."""

import re

from worker_images.model.drivers.table import Table, order, ordered

# 580.159.04, also 620.06.00; a branch of old had two parts. What is no ASCII digit is refused.
DRIVER = re.compile(r"[1-9][0-9]{2}\.(?:0[0-9]|[1-9][0-9]{1,2})(?:\.[0-9]{2})?")
RELEASE = re.compile(r"[0-9]{8}\.[0-9]{1,9}")
NUMBERS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){1,2}")


class VersionError(Exception):
    """Text that is no version; its message is cause and next step, on one line."""


def driver(text: str, table: Table) -> str:
    """A driver's version; raises VersionError, with the likeliest one where there is one."""
    bare = _bare(text)
    if DRIVER.fullmatch(bare):
        return bare
    raise VersionError(
        f"{_shown(text)} is no driver version{_meant(bare, table)}; write it as nvidia-smi does:"
        " 580.159.04"
    )


def release(text: str, table: Table) -> str:
    """A release that the table holds; raises VersionError, with the nearest ones."""
    bare = _bare(text).removeprefix("release-")
    if table.get(bare):
        return bare
    if RELEASE.fullmatch(bare):
        names = " and ".join(near(bare, [each.name for each in table]))
        raise VersionError(f"no gVisor release {bare} is written down; the nearest are {names}")
    hint = f"; did you mean {bare}.0?" if table.get(f"{bare}.0") else ""
    raise VersionError(f"{_shown(text)} is no gVisor release{hint}; write it as 20260622.0")


def near(version: str, among: list[str]) -> tuple[str, ...]:
    """The last before and the first after, of the same branch where that has any."""
    branch = [each for each in among if each.split(".")[0] == version.split(".", maxsplit=1)[0]]
    rows = ordered(branch or among)
    before = [each for each in rows if order(each) < order(version)][-1:]
    after = [each for each in rows if order(each) > order(version)][:1]
    return (*before, *after)


def _bare(text: str) -> str:
    """Without blanks around it and a leading v; a line's end is not a blank."""
    return text.strip(" \t").removeprefix("v")


def _meant(bare: str, table: Table) -> str:
    """The known version of the same numbers, or the same with zeros where they belong: 535.54.3 is
    535.54.03.
    """
    if not NUMBERS.fullmatch(bare):
        return ""
    same = [each for each in table.drivers if order(each) == order(bare)]
    major, minor, *patch = order(bare)
    padded = ".".join([str(major), f"{minor:02}", *(f"{each:02}" for each in patch)])
    found = same or ([padded] if DRIVER.fullmatch(padded) else [])
    return f"; did you mean {found[0]}?" if found else ""


def _shown(text: str) -> str:
    """Quoted and ASCII only, so that no terminal is steered by it."""
    quoted = ascii(text)
    return quoted if len(quoted) <= 60 else quoted[:57] + "..."
