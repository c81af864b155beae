"""The command `explain`: why a sandbox failed, from logs and messages."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from worker_images.errors import UsageError
from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS, Table
from worker_images.model.oci.inflate import GZIP
from worker_images.node.command import CHECK_FAILED, OK, Command, Log
from worker_images.node.explain import diagnose, log_text, logs
from worker_images.node.explain.cause import Cause
from worker_images.node.explain.diagnose import Search
from worker_images.node.explain.log_text import Block
from worker_images.node.explain.logs import STANDARD_INPUT, Run

OLDER_SHOWN = 5
NOTES_SHOWN = 5
SEARCH = "search for FATAL, and for lines that begin with W or E"
ADVICE = f"run the sandbox with --debug --debug-log=FOLDER/, then explain that folder; or {SEARCH}"
OWN_OUTPUT = "the sandbox started and its program ended; read the program's own output"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "logs",
        nargs="+",
        type=Path,
        metavar="FILE|FOLDER|-",
        help=(
            "logs that runsc wrote with --debug --debug-log, folders of them, or any text with the"
            " messages: of containerd, kubectl describe or get events, torch, CUDA, nvidia-smi; -"
            " is standard input"
        ),
    )


def _explain(arguments: argparse.Namespace, root: Path, _: Log) -> tuple[int, str]:
    runs = logs.runs(arguments.logs)
    files = [file for run in runs for file in run.files]
    packed = [file for file in files if _is_compressed(file)]
    if packed == files:
        places = ", ".join(map(str, packed or arguments.logs))
        raise UsageError(f"{places}: no log in plain text; unpack compressed ones with gunzip")
    plain = [Run(run.time, tuple(file for file in run.files if file not in packed)) for run in runs]
    plain = [run for run in plain if run.files]
    drivers = table.read(root / DRIVERS)
    newest = diagnose.search(_blocks(plain[0].files))
    causes = newest.causes(drivers)
    parts = [
        *_shown(causes),
        *_no_causes(newest, drivers),
        *_unexplained(newest),
        *_ended(newest),
        *_older(newest, plain, drivers),
        *([] if causes else [_nothing_known(newest, plain, packed)]),
    ]
    return (OK if causes else CHECK_FAILED), "\n".join(parts)


def _shown(causes: Sequence[Cause]) -> Iterator[str]:
    """Each cause; the same step as that of the cause before is not repeated."""
    before = ""
    for cause in causes:
        yield cause.name
        yield f"  where  {cause.place}{f' ({cause.of})' if cause.of else ''}"
        yield f"  seen   {cause.line}"
        yield f"  means  {cause.message}"
        yield f"  next   {'as above' if cause.step == before else cause.step}"
        before = cause.step


def _no_causes(found: Search, drivers: Table) -> Iterator[str]:
    """Lines that look like a cause, and why each is none."""
    notes = found.notes(drivers)[:NOTES_SHOWN]
    if notes:
        yield "not a cause"
    for note in notes:
        yield f"  seen   {note.place}: {note.line}"
        yield f"  why    {'; '.join(filter(None, (note.message, note.step)))}"


def _unexplained(found: Search) -> list[str]:
    """Lines that look like errors and that nothing above explains, the most relevant first."""
    lines = found.unexplained()
    return ["not explained", *(f"  seen   {line}" for line in lines)] if lines else []


def _ended(found: Search) -> list[str]:
    """How the sandbox's program ended, if the log says so."""
    if not found.end:
        return []
    note = "; nothing above stopped it" if found.end == diagnose.SUCCESS else ""
    return [f"the sandbox's program ended: {found.end}{note}"]


def _older(newest: Search, runs: Sequence[Run], drivers: Table) -> list[str]:
    """The causes of older runs, each in one line."""
    rows = [("an earlier run in the same file", cause) for cause in newest.older(drivers)]
    for run in runs[1 : 1 + OLDER_SHOWN]:
        found = diagnose.search(_blocks(run.files)).causes(drivers)
        rows += [(f"older run of {run.time}", cause) for cause in found]
    lines = [f"  {when}: {cause.name}, {cause.place}: {cause.message}" for when, cause in rows]
    left = len(runs) - 1 - OLDER_SHOWN
    if left > 0:
        lines.append(f"  {left} more were not read; to explain one, name its folder or files")
    return ["older runs, whose causes can differ", *lines] if lines else []


def _nothing_known(found: Search, runs: Sequence[Run], packed: Sequence[Path]) -> str:
    count = len(runs[0].files)
    noun = "file" if count == 1 else "files"
    which = f" of the newest run ({runs[0].time})" if len(runs) > 1 else ""
    skipped = f"; not read, because compressed: {packed[0]}" if packed else ""
    advice = OWN_OUTPUT if found.end else SEARCH if found.runsc_logs else ADVICE
    return f"no known cause in {count} {noun}{which}; {advice}{skipped}"


def _is_compressed(path: Path) -> bool:
    # What is read from a pipe is gone.
    if not path.is_file():
        return False
    with path.open("rb") as log:
        return log.read(len(GZIP)) == GZIP


def _blocks(files: Iterable[Path]) -> Iterator[Block]:
    for path in files:
        if path == STANDARD_INPUT:
            yield from log_text.blocks(_standard_input(), "standard input")
            continue
        with path.open("rb") as log:
            yield from log_text.blocks(log, str(path))


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise UsageError("explain: -: standard input is closed; pipe text to it, or name a file")
    return sys.stdin.buffer


COMMAND = Command(
    "explain",
    "explain why a sandbox failed, from logs and messages",
    "/var/log/runsc",
    _add_arguments,
    _explain,
)
