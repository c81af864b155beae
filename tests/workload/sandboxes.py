"""Runs a user's program in sandboxes, and reads the facts that it reports."""

import json
import re
import shlex
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker_images.node import runsc
from worker_images.node.bundle import bundle
from worker_images.node.command import PROBES_MOUNT
from worker_images.node.node import Node
from worker_images.node.place import CommandResult, Place, run
from worker_images.node.runsc import SandboxResult
from worker_images.node.spec import DRIVER, Container

PROBES = Path(__file__).parent / "probes"
# The names of the sandboxes in scripts.
NAMES = ("before", "after", "by-toolkit", "unprivileged")

Edit = Callable[[dict[str, Any]], None]
Seen = Callable[[str], None]


@dataclass(frozen=True)
class Sandboxes:
    """Runs commands of a user's container, each in a new sandbox."""

    place: Place
    node: Node
    folder: Path
    rootfs: str
    flags: tuple[str, ...] = ()

    def bundle(
        self,
        command: Sequence[str],
        node: Node | None = None,
        gpus: str = "all",
        edit: Edit | None = None,
        checkpoint: Path | None = None,
        network: str = "none",
    ) -> Path:
        """Write the bundle of a container with the probes; `edit` changes its specification."""
        folder = Path(tempfile.mkdtemp(prefix="bundle-", dir=self.folder))
        folder.chmod(0o755)
        container = Container(
            Path(self.rootfs),
            tuple(command),
            {},
            ((self.folder / PROBES.name, PROBES_MOUNT),),
            gpus,
            network,
            checkpoint=checkpoint,
        )
        specification = bundle.write(node or self.node, container, folder, self.place.host)
        if edit:
            edit(specification)
            (folder / "config.json").write_text(json.dumps(specification))
        return folder

    def __call__(
        self,
        *command: str,
        node: Node | None = None,
        gpus: str = "all",
        flags: Sequence[str] = (),
        edit: Edit | None = None,
    ) -> SandboxResult:
        """Run a command in a sandbox, and return its result."""
        return runsc.run_sandbox(
            self.place, self.bundle(command, node, gpus, edit), (*self.flags, *flags)
        )


@dataclass(frozen=True)
class Wiring:
    """The devices of sandboxes: the node's GPU, or stand-ins without a driver behind them."""

    real: bool
    node: Node
    devices: Path
    flags: tuple[str, ...]


UNPRIVILEGED = """
mkdir -p {driver}
for each in {points}; do [ -e "$each" ] || touch "$each"; done
exec {as_user} {runsc} {flags} --rootless run --bundle={bundle} unprivileged
"""


def run_script(sandboxes: Sandboxes, bundle: Path, script: str, **values: str) -> CommandResult:
    """Run a script with several calls of runsc on one bundle."""
    program, *flags = runsc.command(sandboxes.place, bundle, sandboxes.flags)
    runsc.give(bundle, sandboxes.place.user)
    host = sandboxes.place.host
    text = script.format(
        runsc=program, flags=shlex.join(flags), bundle=f"{host}{bundle}", host=host, **values
    )
    try:
        return run(sandboxes.place, ["sh", "-euc", text], 60)
    finally:
        # A detached sandbox outlives its script, and would keep the GPU busy.
        cleanup = (
            f"for each in {' '.join(NAMES)}; do {program} {shlex.join(flags)} delete --force $each;"
            " done"
        )
        run(sandboxes.place, ["sh", "-c", cleanup])


def run_unprivileged(sandboxes: Sandboxes, *command: str) -> CommandResult:
    """Run a command in a rootless sandbox of user 1000.

    The mount points must exist, because a rootless runsc cannot create them.
    """
    bundle = sandboxes.bundle(command)
    user = sandboxes.place.user
    runsc.give(bundle, user or 1000)
    as_user = "" if user else "chroot --userspec=1000:1000 /"
    points = shlex.join(f"{sandboxes.rootfs}{device.path}" for device in sandboxes.node.devices)
    driver = f"{sandboxes.rootfs}{DRIVER}"
    return run_script(
        sandboxes, bundle, UNPRIVILEGED, points=points, driver=driver, as_user=as_user
    )


@dataclass(frozen=True)
class Facts:
    """Facts that the probe reported, by name; a fact that failed has an error instead."""

    values: dict[str, dict[str, Any]]

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - facts are of many kinds
        """Return a fact; the check fails if it is missing."""
        assert "value" in self.values[name], f"{name}: {self.values[name].get('error')}"
        return self.values[name]["value"]

    def error(self, name: str) -> str:
        """Return the error of a fact; empty if there was none."""
        return str(self.values[name].get("error", ""))


def facts_of(result: CommandResult) -> Facts:
    """Parse the probe's output."""
    assert result.status == 0, failure_text(result)
    return Facts(json.loads(result.output))


def failure_text(result: CommandResult) -> str:
    """Return the errors of a command, and the lines of runsc's log that look like failures."""
    log = result.log if isinstance(result, SandboxResult) else ""
    lines = [
        line
        for line in log.splitlines()
        if re.search("FATAL|panic:|[Cc]annot|[Ff]ailed|denied|not permitted", line)
    ]
    return "\n".join([result.errors, *lines[-20:]])


def unhandled(log: str) -> list[str]:
    """Return the calls of the driver that nvproxy does not handle, from runsc's log."""
    refused = r"nvproxy: (?:handler is undefined|unknown|missing capability) .*"
    return sorted({*re.findall(refused, log)})


@dataclass(frozen=True)
class SandboxRun:
    """Facts that the program reported in a sandbox, and the result of the sandbox."""

    facts: Facts
    result: SandboxResult
