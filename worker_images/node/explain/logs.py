"""The files of logs, as runs: the newest run first."""

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# The name of a log as runsc writes it below --debug-log=FOLDER/: time and command.
STAMP = re.compile(r"(\d{8}-\d{6}(?:\.\d{1,9})?)\.([a-z-]{1,40})")
# The name of a log below %ID%/, as documents of containerd's shim write it.
NAME = re.compile(r"(?:gvisor|runsc)\.([a-z-]{1,40})\.(?:log|txt)")
# Commands that can begin a run, and those of which a sandbox with one container has one.
BEGINS, BOOT, ONCE = ("run", "create", "restore", "do"), "boot", ("boot", "gofer")
# The log of a command that creates a sandbox, or that failed without one. A later container of a
# pod joins the pod's sandbox by calls.
OWN = re.compile(
    rb"Creating new sandbox for container"
    rb"|FATAL ERROR: (?![^\n]{0,2000}(?:urpc method|control server))"
)
HEAD_BYTES = 1 << 20
FORMAT = "%Y%m%d-%H%M%S"
STANDARD_INPUT = Path("-")


@dataclass(frozen=True)
class Run:
    """The logs of one run, and its time, which sorts; empty if it is not known."""

    time: str
    files: tuple[Path, ...]


def runs(paths: Sequence[Path]) -> tuple[Run, ...]:
    """The runs of files and of folders, newest first.

    Files whose names have no time are one run for each folder. They belong to the newest run if
    they were named, or lie beside logs with a time, or if they are not runsc's and other folders
    have its logs. The logs of a pod's later containers belong to the run of a sandbox.
    """
    named = [path for path in paths if not path.is_dir()]
    files = [
        file
        for path in paths
        if path.is_dir()
        for file in sorted(filter(Path.is_file, path.rglob("*")))
    ]
    stamped = [file for file in (*named, *files) if STAMP.search(file.name)]
    beside = {file.parent for file in stamped}
    loose = [file for file in named if file not in stamped]
    folders: dict[Path, list[Path]] = {}
    for file in files:
        if file not in stamped and file.parent in beside:
            loose.append(file)
        elif file not in stamped:
            folders.setdefault(file.parent, []).append(file)
    for folder in _collected(folders, beside):
        loose += folders.pop(folder)
    found = [*_stamped(stamped), *_of_folders(folders.values())]
    found.sort(key=lambda run: run.time, reverse=True)
    if not found:
        return (Run("", tuple(loose)),) if loose else ()
    newest = Run(found[0].time, (*found[0].files, *loose))
    return (newest, *found[1:])


def _collected(folders: Mapping[Path, list[Path]], stamped: set[Path]) -> list[Path]:
    """Folders of files that were collected beside the logs of runsc, such as a journal.

    A folder among several with logs of runsc is a run that ended before its first log.
    """
    own = {*stamped, *(folder for folder, files in folders.items() if _commands(files))}
    parents = Counter(folder.parent for folder in own)
    return [each for each in folders if own and each not in own and parents[each.parent] < 2]


def _stamped(files: Iterable[Path]) -> Iterable[Run]:
    """Runs of files with a time and a command in their names."""
    groups: list[list[tuple[str, str, Path]]] = []
    rows = sorted(map(_parts, files), key=_order)
    commands = [command for _, command, _ in rows]
    has_boots = BOOT in commands
    for index, (stamp, command, file) in enumerate(rows):
        present = {each for _, each, _ in groups[-1]} if groups else set()
        can_begin = command in BEGINS or (command in ONCE and command in present)
        if not groups or (can_begin and (not has_boots or _has_sandbox(commands[index:], file))):
            groups.append([])
        groups[-1].append((stamp, command, file))
    return [Run(group[0][0], tuple(file for _, _, file in group)) for group in groups]


def _has_sandbox(commands: Sequence[str], file: Path) -> bool:
    """Whether the first of the commands has its own sandbox: its boot follows, or it says so."""
    first = commands[0]
    following = next((each for each in commands[1:] if each in (*BEGINS, BOOT)), "")
    return BOOT in (first, following) or (first in BEGINS and _says_so(file))


def _says_so(file: Path) -> bool:
    with file.open("rb") as log:
        return bool(OWN.search(log.read(HEAD_BYTES)))


def _order(parts: tuple[str, str, Path]) -> tuple[str, bool, str, Path]:
    """By time; all processes of a run have that of the command which begins it."""
    stamp, command, file = parts
    return stamp, command not in BEGINS, command, file


def _parts(file: Path) -> tuple[str, str, Path]:
    found = STAMP.search(file.name)
    return (found[1], found[2], file) if found else ("", "", file)


def _of_folders(folders: Iterable[list[Path]]) -> Iterable[Run]:
    """A run for each folder; a later container's files belong to the sandbox nearest in time."""
    rows = list(folders)
    sandboxes = [(_newest(files), files) for files in rows if BOOT in _commands(files)]
    later = [files for files in rows if sandboxes and _is_later_container(files)]
    for files in later:
        _nearest(_newest(files), sandboxes).extend(files)
    for files in rows:
        if files not in later:
            yield Run(time.strftime(FORMAT, time.localtime(_newest(files))), tuple(files))


def _is_later_container(files: Iterable[Path]) -> bool:
    commands = _commands(files)
    begins = [commands[each] for each in BEGINS if each in commands]
    return bool(commands) and BOOT not in commands and not any(map(_says_so, begins))


def _commands(files: Iterable[Path]) -> dict[str, Path]:
    return {found[1]: file for file in files if (found := NAME.fullmatch(file.name))}


def _nearest(moment: float, rows: Iterable[tuple[float, list[Path]]]) -> list[Path]:
    return min(rows, key=lambda row: abs(row[0] - moment))[1]


def _newest(files: Iterable[Path]) -> float:
    return max(file.stat().st_mtime for file in files)
