"""The part of rule F14 of docs/launcher.md on mounts.

gVisor release-20260622.0: validateMount and SafeMount in runsc/specutils, parseSize in
pkg/sentry/fsimpl/tmpfs, compileMounts in runsc/boot/vfs.go, and checkSupportedFileType in
runsc/fsgofer.
"""

import os
import posixpath
import re
import stat
from pathlib import Path, PurePosixPath
from typing import Any

from worker_images.node.lint import view
from worker_images.node.lint.container_files import ContainerFiles
from worker_images.node.lint.finding import Problems, error, warning
from worker_images.node.lint.request import LaunchRequest, says_bind
from worker_images.node.lint.rules import mounts as mount_rules
from worker_images.node.lint.rules import system_files

PROPAGATIONS = frozenset({"private", "rprivate", "slave", "rslave", "unbindable", "runbindable"})
# Options of a tmpfs, and what to write.
TMPFS = {
    "size": (
        re.compile("[0-9]+[kKmMgGtTpPeE%]?"),
        "write a number with k, m, g, t, p, e or %, such as size=64m",
    ),
    "mode": (re.compile("[0-7]{1,10}"), "write an octal number, such as mode=1777"),
    "uid": (re.compile("[0-9]{1,10}"), "write a number"),
    "gid": (re.compile("[0-9]{1,10}"), "write a number"),
}
# Options that a user namespace cannot give to a bind mount: flags of the file system of its source
# that the option needs, among these.
TIMES = {
    "noatime": (os.ST_NOATIME, os.ST_NOATIME),
    "nodiratime": (os.ST_NODIRATIME, os.ST_NODIRATIME),
    "strictatime": (0, os.ST_NOATIME | os.ST_RELATIME),
}
# The file types of sources over which runsc can make an overlay; it opens no block device at all.
REGULAR = frozenset({stat.S_IFREG, stat.S_IFDIR})
# runsc takes these as its own, unless an option makes them bind mounts.
OWN = frozenset({"/dev", "/dev/pts"})


def mounts(request: LaunchRequest) -> Problems:
    """Yield mounts that runsc refuses, cannot make, or makes over each other."""
    before = ContainerFiles(request.root)
    for index, mount in enumerate(request.specification.get("mounts") or ()):
        where, destination = f"mounts[{index}]", mount["destination"]
        source = view.bind_source(request, mount)
        if not destination.startswith("/"):
            yield error(where, f"{destination} is not an absolute path", "write one")
        if source and not destination.strip("/"):
            yield error(where, "a bind mount at /, with which runsc ends with EOF", "remove it")
        if not source and not mount.get("source") and says_bind(mount):
            yield error(where, f"a bind mount at {destination} without a source", "add its source")
        yield from _destination(before, where, destination)
        if mount.get("type") == "tmpfs" and not source:
            yield from _tmpfs(where, mount)
        if source:
            yield from _bind(request, before, where, mount)
            yield from _special(request, where, mount)
        before.add(index, destination, source)
    yield from _hidden(before)
    yield from system_files.mounts(request, before)


def _destination(before: ContainerFiles, where: str, destination: str) -> Problems:
    """Yield a destination at which runsc cannot make a mount point."""
    resolved = PurePosixPath(before.resolve(destination))
    # The last parent is the root.
    for path in (resolved, *resolved.parents)[:-1]:
        there = before.behind(str(path)) if str(path) not in before.mounts else None
        if there and there.is_symlink():
            yield error(
                where,
                f"{path} is a loop of links, with which runsc ends with EOF",
                "use another destination",
            )
        elif path != resolved and there and there.is_file():
            yield error(
                where,
                f"{path} is a file, below which runsc cannot mount: it ends with EOF",
                "use another destination",
            )


def _tmpfs(where: str, mount: dict[str, Any]) -> Problems:
    for option in mount.get("options") or ():
        name, _, value = option.partition("=")
        pattern, step = TMPFS.get(name, (None, ""))
        if pattern and not pattern.fullmatch(value):
            yield error(where, f"{option}, which runsc refuses as an invalid argument", step)


def _bind(
    request: LaunchRequest, before: ContainerFiles, where: str, mount: dict[str, Any]
) -> Problems:
    source = request.source(mount)
    if shared := {"shared", "rshared"} & {*(mount.get("options") or ())}:
        yield error(where, f"runsc refuses the option {min(shared)}", "use rprivate or rslave")
    propagations = [each for each in mount.get("options") or () if each in PROPAGATIONS]
    if len({each.removeprefix("r") for each in propagations}) > 1:
        yield error(
            where,
            f"{' and '.join(propagations)} exclude each other, with which runsc ends with EOF",
            "write one",
        )
    there = before.behind(before.resolve(mount["destination"]))
    if not source.exists():
        if not mount_rules.is_service(source):
            yield error(
                where,
                f"{source} does not exist, with which runsc ends with EOF",
                "remove the mount, or create its source",
            )
    elif there and there.exists() and there.is_dir() != source.is_dir():
        kinds = ("a folder", "a file") if source.is_dir() else ("a file", "a folder")
        yield error(
            where,
            f"{source} is {kinds[0]}, but {mount['destination']} is {kinds[1]}, with which runsc"
            " ends with EOF",
            "use another destination",
        )


def _special(request: LaunchRequest, where: str, mount: dict[str, Any]) -> Problems:
    """Yield sources and destinations at which runsc makes no bind mount."""
    source, options = request.source(mount), {*(mount.get("options") or ())}
    destination = posixpath.normpath(mount["destination"])
    if destination in OWN and not options & {"bind", "rbind"}:
        yield error(
            where,
            f"a bind mount at {destination} without the option bind or rbind, which runsc refuses",
            f"remove it: runsc makes {destination} itself",
        )
    if "remount" in options:
        yield error(where, "the option remount, with which runsc ends with EOF", "remove it")
    for option in sorted(TIMES.keys() & options) if view.has_user_namespace(request) else ():
        needed, among = TIMES[option]
        if (flags := _flags(source)) is not None and flags & among != needed:
            yield error(
                where,
                f"the option {option}, which the file system of {source} does not have: runsc ends"
                " with EOF",
                "remove it",
            )
    kind = _kind(source)
    if kind == stat.S_IFBLK:
        yield error(
            where,
            f"{source} is a block device, which runsc does not mount",
            "mount a file system of it",
        )
    elif kind not in REGULAR and view.has_mount_overlays(request) and "ro" not in options:
        yield error(
            where,
            f"{source} is not a file or a folder, over which runsc makes no overlay of"
            f" --overlay2={view.overlay2(request)}",
            "add the option ro, or use --overlay2=root:self",
        )


def _flags(source: Path) -> int | None:
    """Return the flags of a file system; None if it cannot be read."""
    try:
        return os.statvfs(source).f_flag
    except OSError:
        return None


def _kind(source: Path) -> int:
    """Return the type of a file; that of a regular one if there is none."""
    try:
        return stat.S_IFMT(source.stat().st_mode)
    except OSError:
        return stat.S_IFREG


def _hidden(files: ContainerFiles) -> Problems:
    """Yield mounts that a later one hides: runsc opens the later one's file in their place."""
    for destination, (index, source) in files.mounts.items():
        seen = files.behind(destination)
        if source and source.exists() and seen != source:
            is_there = seen is not None and seen.exists()
            effect = "programs see its file" if is_there else "runsc ends with EOF"
            yield (warning if is_there else error)(
                f"mounts[{index}]",
                f"a later mount hides {destination}: {effect}",
                "write mounts of folders before those of files in them",
            )
