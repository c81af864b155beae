"""Versions of drivers and releases as users and programs write them, validated."""

import re

from worker_images.model.drivers import kernel
from worker_images.model.drivers.table import Table, order, ordered

# 580.159.04, also 620.06.00; versions of old branches have two parts. ASCII digits only.
DRIVER = re.compile(r"[1-9][0-9]{2}\.(?:0[0-9]|[1-9][0-9]{1,2})(?:\.[0-9]{2})?")
RELEASE = re.compile(r"[0-9]{8}\.[0-9]{1,9}")
NUMBERS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){1,2}")
# Texts that contain versions: of a package, 550.144.03-0ubuntu1, or of several drivers.
WITHIN = re.compile(rf"(?<![0-9.])(?:{DRIVER.pattern})(?![0-9.])")
# Versions of other things that people have at hand.
BRANCH = re.compile(r"[Rr]?([1-9][0-9]{2})(?:\.[xX])?")
CUDA_OR_VGPU = re.compile(r"1[0-9]\.[0-9]{1,2}")
L4T_RELEASE = re.compile(r"[Rr]?3[2-9](?:\.[0-9]{1,2}){0,2}")


class VersionError(Exception):
    """Text is not a version; the message is one line with the cause and the next step."""


def driver(text: str, table: Table) -> str:
    """A driver's version; raises VersionError, which suggests a similar version if there is one."""
    bare = _bare(text)
    if DRIVER.fullmatch(bare) or kernel.kind_of(bare):
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
    # Builds of a later commit and of a fork begin with the release: 20260622.0-46-g879cb2dc2.
    begin = bare.partition("-")[0]
    named = [each for each in (begin, f"{bare}.0") if table.get(each)]
    hint = f"; did you mean {named[0]}?" if named else ""
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
    """What a text is instead of a driver's version, or a similar version; empty if unknown."""
    if found := BRANCH.fullmatch(bare):
        known = [each for each in table.drivers if each.startswith(f"{found[1]}.")]
        return f"; gVisor knows {' '.join(known)} of branch {found[1]}" if known else ""
    if CUDA_OR_VGPU.fullmatch(bare):
        return "; it looks like a version of CUDA or of vGPU software"
    if L4T_RELEASE.fullmatch(bare):
        return "; it looks like a release of Jetson Linux (L4T), which no gVisor release serves"
    if not NUMBERS.fullmatch(bare):
        within = " ".join(WITHIN.findall(bare))
        return f"; did you mean {within}?" if within and bare.isprintable() else ""
    same = [each for each in table.drivers if order(each) == order(bare)]
    major, minor, *patch = order(bare)
    padded = ".".join([str(major), f"{minor:02}", *(f"{each:02}" for each in patch)])
    found_same = same or ([padded] if DRIVER.fullmatch(padded) else [])
    return f"; did you mean {found_same[0]}?" if found_same else ""


def _quoted(text: str) -> str:
    """Text quoted for a message: ASCII only, so that it cannot control a terminal."""
    quoted = ascii(text)
    return quoted if len(quoted) <= 60 else quoted[:57] + "..."
