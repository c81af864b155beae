"""Saves and restores sandboxes with the image's gpu-checkpoint, or with the probe in its place."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.workload.sandboxes import Edit, Sandboxes
from worker_images.node import runsc, session
from worker_images.node.command import PROBES_MOUNT
from worker_images.node.place import CommandResult
from worker_images.node.session import Sandbox, Session
from worker_images.node.spec import CHECKPOINT

# An import of torch and a start of NCCL take long on a slow machine.
FIRST_LINE_SECONDS = 120.0


@dataclass(frozen=True)
class Checkpoints:
    """Sandboxes that can be saved.

    `program` is the path in containers of the program that takes memory off GPUs; empty for none.
    """

    sandboxes: Sandboxes
    program: str

    def bundle(
        self, *command: str, gpus: str = "all", edit: Edit | None = None, network: str = "none"
    ) -> Path:
        """Write the bundle of a container that can be saved."""
        mounted = Path(CHECKPOINT) if self.program == CHECKPOINT else None
        return self.sandboxes.bundle(
            command, gpus=gpus, edit=edit, checkpoint=mounted, network=network
        )

    @contextmanager
    def opened(self, bundle: Path, *flags: str) -> Iterator["Saved"]:
        """Open a session with runsc's debug log; its checkpoints are below the bundle."""
        place = self.sandboxes.place
        own = (*self.sandboxes.flags, *runsc.debug_flags(place, bundle), *flags)
        with session.opened(place, bundle, own) as found:
            yield Saved(found, bundle, self.program)


@dataclass(frozen=True)
class Saved:
    """A session, and the program for its checkpoints."""

    session: Session
    bundle: Path
    program: str

    def started(self, line: str = "20") -> Sandbox:
        """Start the container, and wait for a line of its output."""
        sandbox = self.session.start()
        sandbox.first_line(FIRST_LINE_SECONDS)
        while line and sandbox.lines.next() not in (line, ""):
            pass
        return sandbox

    def save(self, sandbox: Sandbox, name: str = "image", **more: Any) -> CommandResult:  # noqa: ANN401
        """Save a sandbox in a new folder."""
        return self.session.save(sandbox, self.image(name), self.program, **more)

    def saved(self, sandbox: Sandbox, name: str = "image") -> str:
        """Save a sandbox, check that it worked, and return the sandbox's last line."""
        found = self.save(sandbox, name)
        assert found.status == 0, f"{found.errors}\n{sandbox.errors}"
        sandbox.lines.rest()
        return sandbox.lines.received[-1]

    def image(self, name: str = "image") -> Path:
        """The folder of a checkpoint."""
        return self.bundle / name


def program_of(image_root: Path) -> str:
    """Return the program for checkpoints of an image, as a path in containers."""
    inside = (image_root / CHECKPOINT[1:]).is_file()
    return CHECKPOINT if inside else f"{PROBES_MOUNT}/cuda_checkpoint.py"
