"""A user's program in sandboxes of the image's own runsc: what it saw there and on the node, and
what the note's commands said.
"""

import concurrent.futures
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker_images.node import bundle
from worker_images.node.command import INSIDE
from worker_images.node.node import Node
from worker_images.node.place import Answer, Place, answer
from worker_images.node.runsc import Outcome, sandbox
from worker_images.node.spec import PATH, Container

LOGS, PROCESSES = "grep nvproxy", "ps aux | grep -- --nvproxy=true"
POLL_SECONDS = 0.2
# The facts that rows are judged by.
NAMES = ("kernel", "devices", "loader", "loaded", "driver", "torch", "note")

Facts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Trial:
    """What facts.py saw, by name (a `value`, or the `error` in its place), and each of the note's
    commands with its answer.
    """

    node: Node
    native: Facts
    inside: Facts
    outcome: Outcome
    said: Mapping[str, Answer]


def attempt(
    place: Place,
    node: Node,
    python: str,
    probes: Path,
    commands: Sequence[str],
    folder: Path,
    log: Callable[[str], None],
) -> Trial:
    """Run the probes on the node and in a sandbox, then the note's commands in one more.

    Raises PlaceError.
    """
    log("running the probes on the node")
    native = _facts(answer(["env", *node.native, python, str(probes / "facts.py")]))
    log("running the probes in a sandbox")
    outcome = sandbox(
        place,
        _bundle(place, node, python, probes, (python, f"{INSIDE}/facts.py"), folder / "probes"),
    )
    log("running the note's own commands in a sandbox")
    word = secrets.token_hex(12)
    script = "\n".join(f"({line}\n) 2>&1; printf '\\n{word} %d\\n' $?" for line in commands)
    made = _bundle(place, node, python, probes, ("/bin/sh", "-c", script), folder / "note")
    said, processes = _watched(lambda: sandbox(place, made))
    answers = {PROCESSES: processes, LOGS: _logged(outcome)} | _apart(said, commands, word)
    return Trial(node, native, _facts(outcome), outcome, answers)


def _bundle(
    place: Place, node: Node, python: str, probes: Path, command: tuple[str, ...], made: Path
) -> Path:
    """The node's own root as the user's, with this python first on the path."""
    environment = {"PATH": f"{Path(python).parent}:{PATH}"}
    bundle.write(
        node,
        Container(Path(place.user), command, environment, ((probes, INSIDE),)),
        made,
        place.host,
    )
    return made


def _facts(found: Answer) -> Facts:
    """What the probe wrote; where it wrote nothing, every fact has that for an error."""
    try:
        made: Facts = json.loads(found.output)
    except ValueError:
        words = (
            f"facts.py ended with status {found.status}:"
            f" {found.errors.strip()[-300:] or 'it said nothing'}"
        )
        return {name: {"error": words} for name in NAMES}
    return made


def _watched(work: Callable[[], Outcome]) -> tuple[Outcome, Answer]:
    """Do the work, and keep the fullest answer of ps meanwhile, on the node."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running, fullest = pool.submit(work), Answer(1, "", "")
        while not running.done():
            found = answer(["sh", "-c", PROCESSES])
            fullest = max(fullest, found, key=lambda each: len(each.output))
            concurrent.futures.wait([running], POLL_SECONDS)
        return running.result(), fullest


def _logged(outcome: Outcome) -> Answer:
    """What a worker's log would have held: runsc's own words, without its debug log."""
    lines = [line for line in outcome.errors.splitlines() if "nvproxy" in line]
    return Answer(0 if lines else 1, "\n".join(lines), "")


def _apart(said: Outcome, commands: Sequence[str], word: str) -> dict[str, Answer]:
    """Each command's own answer; what the sandbox did not come to has none."""
    parts = said.output.split(f"\n{word} ")
    outputs = [parts[0], *(part.partition("\n")[2] for part in parts[1:])]
    statuses = [int(part.partition("\n")[0]) for part in parts[1:]]
    # It may have ended early.
    rows = zip(commands, outputs, statuses)  # noqa: B905
    answers = {line: Answer(status, output, "") for line, output, status in rows}
    return {line: answers.get(line, Answer(said.status or 1, "", said.errors)) for line in commands}
