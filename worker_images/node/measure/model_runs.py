"""Starts, saves and restores a language model, and adds each time to a report."""

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.node import session
from worker_images.node.checkpoint import FAST_COMPRESSION, NO_COMPRESSION
from worker_images.node.measure import page_cache, restore_timeline
from worker_images.node.measure.native import native_command
from worker_images.node.measure.restore_rows import Report
from worker_images.node.node import Node
from worker_images.node.place import Place, PlaceError, run_command
from worker_images.node.session import Sandbox, Session

# After so many tokens the model begins again; CYCLE of the probe.
TOKENS = 32
# Limits of one step, for a model of 10 GB and a slow disk.
SAVE_MODEL_SECONDS, START_SECONDS, STEP_SECONDS, COMPRESS_SECONDS = 240.0, 180.0, 90.0, 180.0
# The model prints one token after another; without one for so long it stands still.
STILL_SECONDS = 1.0
# So often the model on the node loses its GPU memory and gets it back.
MOVES = 3
# Memory in a checkpoint without compression.
MEMORY_FILE = "pages.img"
# runsc has written its timeline when so many tokens have come.
MOST_TOKENS = 1000


@dataclass(frozen=True)
class Setup:
    """What is measured, and how often.

    `program` takes memory off GPUs, as a path in containers, and `mounted` is its file as runsc
    sees it; `on_node` is a command that does the same on the node.
    """

    place: Place
    node: Node
    python: str
    probes: Path
    folder: Path
    size: str
    program: str
    mounted: Path | None
    on_node: tuple[str, ...]
    flags: tuple[str, ...] = ()
    rounds: int = 10
    at_once: int = 8
    starts: int = 2
    compression: bool = True
    huge_pages: bool = False
    seconds: float = 540.0

    @property
    def model(self) -> Path:
        """The folder of the model's weights."""
        return self.folder / "model"

    @property
    def gpu(self) -> str:
        """The GPU of the model, by nvidia-smi's index; empty on a node without a driver."""
        return "0" if self.node.driver else ""

    @property
    def native(self) -> list[str]:
        """The command that runs the model's program on the node."""
        return self._probe("model.py", str(self.model))

    @property
    def another(self) -> list[str]:
        """The command of a small program on the node that keeps a number in the GPU's memory."""
        return self._probe("counting.py")

    def _probe(self, program: str, *words: str) -> list[str]:
        path = str(self.probes / program)
        return native_command(self.node, self.python, path, *words, gpu=self.gpu)


class ModelRuns:
    """Runs of the model. The first one on the node shows the tokens that all others must print."""

    def __init__(self, setup: Setup, boxes: Session, report: Report) -> None:
        self._setup, self._boxes, self._report = setup, boxes, report
        self._tokens: list[str] = []

    def save_model(self) -> None:
        """Save the weights once, so that every start loads them."""
        command = [*self._setup.native, "--save", self._setup.size]
        found = run_command(command, SAVE_MODEL_SECONDS)
        if found.status:
            raise PlaceError(f"the model was not saved: {found.errors.strip()[-2000:]}")
        self._report.know(parameters=int(found.output.split()[-1]))

    def prepare(self, cache: str) -> None:
        """Empty the page cache if the next run is a cold one."""
        if cache == "cold":
            python = Path(self._setup.python)
            roots = {python.parent.parent, python.resolve().parent.parent, self._setup.folder}
            self._report.know(cold_by=page_cache.empty(page_cache.files_below(sorted(roots))))

    def start_on_node(self, cache: str, *, first: bool = False) -> None:
        """Start the model on the node; the first time, learn its tokens and move its memory."""
        self.prepare(cache)
        program = session.launch(self._setup.native, self._setup.folder / "node.errors")
        try:
            line, seconds = program.first_line(START_SECONDS)
            self._report.add(f"start_node_{cache}", seconds)
            if first:
                self._learn(program, line)
                self._move(program)
        finally:
            session.kill(program)

    def _learn(self, program: Sandbox, line: str) -> None:
        tokens = [line.split()[1], *(program.line().split()[1] for _ in range(TOKENS - 1))]
        self._tokens = tokens

    def _move(self, program: Sandbox) -> None:
        """Take the memory off the GPU and put it back, without a sandbox."""
        if not self._setup.on_node:
            return
        tool, process = self._setup.on_node, ("--pid", str(program.call.pid))
        self._report.add("node_state", _timed([*tool, "--get-state", *process]))
        command = [*tool, "--toggle", *process]
        for _ in range(MOVES):
            self._move_once(program, command)

    def _move_once(self, program: Sandbox, command: Sequence[str]) -> None:
        self._report.add("node_off", _timed(command))
        with contextlib.suppress(PlaceError):
            while program.line(STILL_SECONDS):
                pass
        begun = time.monotonic()
        _timed(command)
        program.line(STEP_SECONDS)
        self._report.add("node_on", time.monotonic() - begun)

    def start_in_sandbox(self, cache: str) -> Sandbox:
        """Start the model in a sandbox, which goes on."""
        self.prepare(cache)
        sandbox = self._boxes.start()
        line, seconds = sandbox.first_line(START_SECONDS)
        self._report.add(f"start_sandbox_{cache}", seconds)
        self.check(line, 1)
        return sandbox

    def warm_up(self, sandbox: Sandbox) -> None:
        """Read all tokens after the first one: the first time each of them takes longer."""
        for number in range(2, TOKENS + 1):
            self.check(sandbox.line(STEP_SECONDS), number)

    def check(self, line: str, number: int) -> None:
        """Compare a line with the number and the token that must come; raises PlaceError."""
        expected = f"{number} {self._tokens[(number - 1) % TOKENS]}" if self._tokens else line
        if line != expected:
            raise PlaceError(f"the model printed {line!r} instead of {expected!r}")

    def save(
        self, sandbox: Sandbox, image: Path, kind: str = "none", options: Sequence[str] = ()
    ) -> int:
        """Save a sandbox, which ends, in a new folder; return the number of its last token.

        `kind` is none, flate or zeros, as in the names of the figures.
        """
        compression = FAST_COMPRESSION if kind == "flate" else NO_COMPRESSION
        shutil.rmtree(image, ignore_errors=True)
        begun = time.monotonic()
        program = self._setup.program
        found = self._boxes.save(sandbox, image, program, options, compression, COMPRESS_SECONDS)
        elapsed = time.monotonic() - begun
        if found.status:
            raise PlaceError(f"the checkpoint failed: {found.errors.strip()[-2000:]}")
        sandbox.lines.rest()
        self._boxes.end(sandbox)
        self._report.add(f"save_{kind}", elapsed)
        self._report.add(f"size_{kind}", sum(each.stat().st_size for each in image.iterdir()) / 1e9)
        return int(sandbox.lines.received[-1].split()[0])

    def restore(self, image: Path, last: int, key: str, options: Sequence[str] = ()) -> Sandbox:
        """Restore a sandbox, check its first token, and return the sandbox, which goes on."""
        sandbox = self._boxes.restore(image, options)
        line, seconds = sandbox.first_line(STEP_SECONDS)
        self._report.add(key, seconds)
        self.check(line, last + 1)
        return sandbox

    @contextlib.contextmanager
    def another_program(self) -> Iterator[None]:
        """Let another program use the GPU on the node."""
        program = session.launch(self._setup.another, self._setup.folder / "another.errors")
        try:
            program.first_line(START_SECONDS)
            yield
        finally:
            session.kill(program)

    def restore_with_log(self, image: Path, last: int, options: Sequence[str]) -> None:
        """Restore with runsc's debug log, add where its time goes, and end the sandbox."""
        sandbox = self._boxes.restore_with_log(image, options)
        begun = time.time() - (time.monotonic() - sandbox.begun)
        line, seconds = sandbox.first_line(STEP_SECONDS)
        self.check(line, last + 1)
        for _ in range(MOST_TOKENS):
            if found := restore_timeline.read(self._boxes.log(), begun):
                break
            sandbox.line(STEP_SECONDS)
        else:
            raise PlaceError("runsc's debug log has no times of the restore")
        self._boxes.end(sandbox)
        for key, value in found.items():
            self._report.add(key, value)
        self._report.add("at_token", seconds)

    def read(self, image: Path) -> None:
        """Add how fast this machine reads a checkpoint, without and with its page cache."""
        file = image / MEMORY_FILE
        for key, direct in (("read_cold", False), ("read_direct", True)):
            self.prepare("cold")
            rate = file.stat().st_size / 1e9 / page_cache.read_seconds(file, direct=direct)
            self._report.add(key, rate)

    def restore_at_once(self, image: Path, last: int, count: int, options: Sequence[str]) -> None:
        """Restore several sandboxes at the same moment, and end them."""
        restored = [self._boxes.restore(image, options) for _ in range(count)]
        try:
            lines = [each.first_line(STEP_SECONDS) for each in restored]
        finally:
            for each in restored:
                self._boxes.end(each)
        for line, _ in lines:
            self.check(line, last + 1)
        self._report.add("at_once", count)
        self._report.add("at_once_last", max(seconds for _, seconds in lines))


def _timed(command: Sequence[str]) -> float:
    begun = time.monotonic()
    found = run_command(command, STEP_SECONDS)
    if found.status:
        raise PlaceError(f"{command[0]}: {found.errors.strip()[-2000:]}")
    return time.monotonic() - begun
