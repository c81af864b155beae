"""Versions of drivers and releases as users and programs write them, validated."""

import re

from worker_images.model.drivers.table import Table, order, ordered

# 580.159.04, also 620.06.00; versions of old branches have two parts. ASCII digits only.
DRIVER = re.compile(r"[1-9][0-9]{2}\.(?:0[0-9]|[1-9][0-9]{1,2})(?:\.[0-9]{2})?")
RELEASE = re.compile(r"[0-9]{8}\.[0-9]{1,9}")
NUMBERS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){1,2}")


class VersionError(Exception):
    """Text is not a version; the message is one line with the cause and the next step."""


def driver(text: str, table: Table) -> str:
    """A driver's version; raises VersionError, which suggests a similar version if there is one."""
    bare = _bare(text)
    if DRIVER.fullmatch(bare):
        return bare
    raise VersionError(
        f"{_quoted(text)} is not a driver version{_suggestion(bare, table)}; write it as nvidia-smi"
        " does: 580.159.04"
    )


def release(text: str, table: Table) -> str:
    """A release of the table; raises VersionError, which names the nearest ones."""
    bare = _bare(text).removeprefix("release-")
    if table.get(bare):
        return bare
    if RELEASE.fullmatch(bare):
        names = " and ".join(near(bare, [each.name for each in table]))
        raise VersionError(
            f"drivers.json has no entry for gVisor {bare}; the nearest are {names}; use one of them"
        )
    hint = f"; did you mean {bare}.0?" if table.get(f"{bare}.0") else ""
    raise VersionError(f"{_quoted(text)} is not a gVisor release{hint}; write it as 20260622.0")


def near(version: str, among: list[str]) -> tuple[str, ...]:
    """The last version before and the first after, of the same branch if that has any."""
    branch = [each for each in among if each.split(".")[0] == version.split(".", maxsplit=1)[0]]
    rows = ordered(branch or among)
    before = [each for each in rows if order(each) < order(version)][-1:]
    after = [each for each in rows if order(each) > order(version)][:1]
    return (*before, *after)


def _bare(text: str) -> str:
    """Text without blanks around it and without a leading v; line breaks stay."""
    return text.strip(" \t").removeprefix("v")


def _suggestion(bare: str, table: Table) -> str:
    """A version with the same numbers: 535.54.03 for 535.54.3; empty if there is none."""
    if not NUMBERS.fullmatch(bare):
        return ""
    same = [each for each in table.drivers if order(each) == order(bare)]
    major, minor, *patch = order(bare)
    padded = ".".join([str(major), f"{minor:02}", *(f"{each:02}" for each in patch)])
    found = same or ([padded] if DRIVER.fullmatch(padded) else [])
    return f"; did you mean {found[0]}?" if found else ""


def _quoted(text: str) -> str:
    """Text quoted for a message: ASCII only, so that it cannot control a terminal."""
    quoted = ascii(text)
    return quoted if len(quoted) <= 60 else quoted[:57] + "..."
