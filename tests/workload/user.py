"""A user's program in sandboxes, and what it saw there."""

import json
import os
import re
import shlex
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker_images.node import bundle, runsc
from worker_images.node.command import INSIDE
from worker_images.node.node import Node
from worker_images.node.place import Answer, Place, run
from worker_images.node.runsc import Outcome
from worker_images.node.spec import DRIVER, Container

PROBES = Path(__file__).parent / "probes"
# What the scripts call their sandboxes.
NAMES = ("before", "after", "by-toolkit", "unprivileged")

Edit = Callable[[dict[str, Any]], None]
Seen = Callable[[str], None]


@dataclass(frozen=True)
class Sandboxes:
    """Runs commands of a user's container, each in a sandbox of its own."""

    place: Place
    node: Node
    folder: Path
    rootfs: str
    flags: tuple[str, ...] = ()

    def bundle(
        self,
        command: Sequence[str],
        given: Node | None = None,
        gpus: str = "all",
        edit: Edit | None = None,
    ) -> Path:
        """The bundle of a container with the probes in it; `edit` spoils its specification."""
        made = Path(tempfile.mkdtemp(prefix="bundle-", dir=self.folder))
        made.chmod(0o755)
        container = Container(
            Path(self.rootfs), tuple(command), {}, ((self.folder / PROBES.name, INSIDE),), gpus
        )
        specification = bundle.write(given or self.node, container, made, self.place.host)
        if edit:
            edit(specification)
            (made / "config.json").write_text(json.dumps(specification))
        return made

    def __call__(
        self,
        *command: str,
        given: Node | None = None,
        gpus: str = "all",
        flags: Sequence[str] = (),
        edit: Edit | None = None,
    ) -> Outcome:
        """What a command came to."""
        return runsc.sandbox(
            self.place, self.bundle(command, given, gpus, edit), (*self.flags, *flags)
        )


@dataclass(frozen=True)
class Wiring:
    """What sandboxes are given: the node's GPU, or stand-ins, which have the driver's numbers and
    nothing behind them.
    """

    real: bool
    node: Node
    devices: Path
    flags: tuple[str, ...]


UNPRIVILEGED = """
mkdir -p {driver}
touch {points}
exec chroot --userspec=1000:1000 / {runsc} {flags} --rootless run --bundle={bundle} unprivileged
"""


def scripted(sandboxes: Sandboxes, bundle: Path, script: str, **values: str) -> Answer:
    """Several calls of runsc on one bundle, in one place."""
    program, *flags = runsc.flags(sandboxes.place, bundle, sandboxes.flags)
    (bundle / "log").mkdir(exist_ok=True)
    host = sandboxes.place.host
    text = script.format(
        runsc=program, flags=shlex.join(flags), bundle=f"{host}{bundle}", host=host, **values
    )
    try:
        return run(sandboxes.place, ["sh", "-euc", text], 60)
    finally:
        # A detached sandbox outlives the script that began it, and would hold the GPU.
        ended = (
            f"for each in {' '.join(NAMES)}; do {program} {shlex.join(flags)} delete --force $each;"
            " done"
        )
        run(sandboxes.place, ["sh", "-c", ended])


def unprivileged(sandboxes: Sandboxes, *command: str) -> Answer:
    """What a command came to in a rootless sandbox of user 1000.

    Mount points must be there before.
    """
    bundle = sandboxes.bundle(command)
    (bundle / "log").mkdir()
    for path in (bundle, *bundle.rglob("*")):
        os.chown(path, 1000, 1000, follow_symlinks=False)
    points = shlex.join(f"{sandboxes.rootfs}{device.path}" for device in sandboxes.node.devices)
    return scripted(
        sandboxes, bundle, UNPRIVILEGED, points=points, driver=f"{sandboxes.rootfs}{DRIVER}"
    )


@dataclass(frozen=True)
class Facts:
    """What a user's program saw, by name; a fact that failed has an error in its place."""

    answers: dict[str, dict[str, Any]]

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - facts are of many kinds
        """A fact that must be there."""
        assert "value" in self.answers[name], f"{name}: {self.answers[name].get('error')}"
        return self.answers[name]["value"]

    def error(self, name: str) -> str:
        """Why a fact is not there; empty where it is."""
        return str(self.answers[name].get("error", ""))


def facts_of(answer: Answer) -> Facts:
    """Read what the probe wrote."""
    assert answer.status == 0, complaint(answer)
    return Facts(json.loads(answer.output))


def complaint(answer: Answer) -> str:
    """What was said of a failure, and the lines of runsc's log that tell of one."""
    log = answer.log if isinstance(answer, Outcome) else ""
    told = [
        line
        for line in log.splitlines()
        if re.search("FATAL|panic:|[Cc]annot|[Ff]ailed|denied|not permitted", line)
    ]
    return "\n".join([answer.errors, *told[-20:]])


@dataclass(frozen=True)
class Inside:
    """What the same program saw in the sandbox, and what runsc said meanwhile."""

    facts: Facts
    outcome: Outcome
