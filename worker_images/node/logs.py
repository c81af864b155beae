"""The files of logs, as runs: the newest run first."""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# The name of a log as runsc writes it below --debug-log=FOLDER/: time and command.
STAMP = re.compile(r"(\d{8}-\d{6}(?:\.\d{1,9})?)\.([a-z-]{1,40})")
# Commands that begin a run, and those of which a run has one.
BEGINS, ONCE = ("run", "create", "restore", "do"), ("boot", "gofer")
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
    they were named, or lie beside logs with a time.
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
    found = [*_stamped(stamped), *(_of_folder(each) for each in folders.values())]
    found.sort(key=lambda run: run.time, reverse=True)
    if not found:
        return (Run("", tuple(loose)),) if loose else ()
    newest = Run(found[0].time, (*found[0].files, *loose))
    return (newest, *found[1:])


def _stamped(files: Iterable[Path]) -> Iterable[Run]:
    """Runs of files with a time and a command in their names."""
    groups: list[list[tuple[str, str, Path]]] = []
    for stamp, command, file in sorted(map(_parts, files), key=_order):
        commands = {each for _, each, _ in groups[-1]} if groups else set()
        begins = command in BEGINS or (command in ONCE and command in commands)
        if not groups or begins:
            groups.append([])
        groups[-1].append((stamp, command, file))
    return [Run(group[0][0], tuple(file for _, _, file in group)) for group in groups]


def _order(parts: tuple[str, str, Path]) -> tuple[str, bool, str, Path]:
    """By time; all processes of a run have that of the command which begins it."""
    stamp, command, file = parts
    return stamp, command not in BEGINS, command, file


def _parts(file: Path) -> tuple[str, str, Path]:
    found = STAMP.search(file.name)
    return (found[1], found[2], file) if found else ("", "", file)


def _of_folder(files: Sequence[Path]) -> Run:
    newest = max(file.stat().st_mtime for file in files)
    return Run(time.strftime(FORMAT, time.localtime(newest)), tuple(files))
