"""What a row of the requirements' checklist is, and how it is asked."""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from worker_images.model.drivers.table import Table
from worker_images.node import cause
from worker_images.node.node import Node
from worker_images.node.place import Answer, Place, PlaceError, run
from worker_images.node.verify.cluster import Cluster
from worker_images.node.verify.trial import Trial

PASSED, FAILED, NOT_RUN, NOT_ASKED = "passed", "failed", "not run", "not asked"
# What a check of the note is worth: it decides, it can pass on what is broken, it asks something
# else, there is none.
RIGHT, WEAK, WRONG, ABSENT = "right", "weak", "wrong", "absent"
MEND = "mend what is named, and run again"
DRIVER_LINE = re.compile(r"^\d{3}\.\d{2,3}\.\d{2}$", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """What a row came to: what was seen, and where that is not well why, and the next step."""

    state: str
    found: str
    cause: str = ""
    step: str = ""


@dataclass(frozen=True)
class Scene:
    """Where a layer's rows are asked: a shell there, the note's own commands there, and what is
    known beforehand.
    """

    run: Callable[[str], Answer]
    repeat: Callable[["Row"], Answer]
    table: Table = field(default_factory=Table)
    drivers: tuple[str, ...] = ()
    node: Node | None = None
    cluster: Cluster | None = None
    trial: Trial | None = None
    unable: str = ""


@dataclass(frozen=True)
class Row:
    """One check: the note's own and its worth, then ours.

    `note` is verbatim; `own` is what it runs in the place, empty where it is no command. `command`
    is ours as a line for a shell there.
    """

    layer: str
    section: str
    note: str
    worth: str
    reason: str
    check: str
    expected: str
    judge: Callable[[Scene, Answer], Finding]
    command: str = ""
    own: str = ""


@dataclass(frozen=True)
class Result:
    """A row, its finding, and what the note's own command came to in the same place."""

    row: Row
    finding: Finding
    said: Answer | None = None

    @property
    def misleads(self) -> bool:
        """Whether the note's command said something else of the same thing."""
        return bool(
            self.said
            and self.finding.state in {PASSED, FAILED}
            and (self.said.status == 0) != (self.finding.state == PASSED)
        )


def ask(row: Row, scene: Scene) -> Result:
    """Ask one row; a place that gives no answer is a failure in its own words."""
    if scene.unable:
        return Result(
            row,
            Finding(NOT_RUN, "nothing", scene.unable, "run on a GPU node, with its driver loaded"),
        )
    said = _said(row, scene)
    try:
        return Result(
            row,
            row.judge(scene, scene.run(row.command) if row.command else Answer(0, "", "")),
            said,
        )
    except PlaceError as error:
        return Result(row, Finding(FAILED, "no answer", str(error), MEND), said)


def _said(row: Row, scene: Scene) -> Answer | None:
    if not row.own:
        return None
    try:
        return scene.repeat(row)
    except PlaceError as error:
        return Answer(1, "", str(error))


def shell(place: Place, line: str) -> Answer:
    """A shell's answer in a place.

    Raises PlaceError where what carries it failed, which a status alone cannot tell.
    """
    word = secrets.token_hex(12)
    found = run(place, ["sh", "-c", f'(\n{line}\n); printf "\\n{word} %d\\n" "$?"'])
    output, mark, status = found.output.rpartition(f"\n{word} ")
    if not mark:
        raise PlaceError(
            f"{place.name} gave no answer: {last_line(found.errors) or f'status {found.status}'}"
        )
    return Answer(int(status), output, found.errors)


def explained(text: str, scene: Scene) -> tuple[str, str]:
    """Cause and next step of what runsc said; its last line where no reason is known."""
    for reason in cause.explain(text, scene.table):
        return reason.words, reason.step
    return (
        last_line(text) or "it said nothing",
        "read runsc's debug log: python3 -m worker_images.node explain LOG",
    )


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def served(text: str) -> tuple[str, ...]:
    """The drivers in what `runsc nvproxy list-supported-drivers` said."""
    return tuple(DRIVER_LINE.findall(text))


def lines_after(text: str, names: Mapping[str, str]) -> dict[str, str]:
    """Lines `NAME value` of the names that are known, in words of their own."""
    rows = (line.replace(":", " ", 1).split(None, 1) for line in text.splitlines())
    return {names[row[0]]: row[1].strip() for row in rows if len(row) == 2 and row[0] in names}
