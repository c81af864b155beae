"""Measures starts, checkpoints and restores of a language model, on the node and in sandboxes.

Each figure is written when it was measured, the most important ones first, and a part that fails
leaves the others alone.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from worker_images.node import huge_pages, session
from worker_images.node.bundle import bundle
from worker_images.node.command import PROBES_MOUNT, Log
from worker_images.node.measure.model_runs import ModelRuns, Setup
from worker_images.node.measure.restore_rows import Report
from worker_images.node.place import PlaceError
from worker_images.node.selection import NONE
from worker_images.node.session import Sandbox, Session
from worker_images.node.spec import Container

MODEL_MOUNT = "/model"
COLD_ROUNDS, SIDE_ROUNDS = 2, 3
BACKGROUND = ("--background",)
WITHOUT_ZEROS = ("--exclude-committed-zero-pages",)
Part = tuple[str, Callable[[], None]]


class Measurement:
    """One run; a running sandbox and its last checkpoint pass from part to part."""

    def __init__(self, setup: Setup, boxes: Session, report: Report, log: Log) -> None:
        self._setup, self._boxes, self._report, self._log = setup, boxes, report, log
        self._runs = ModelRuns(setup, boxes, report)
        self._end = time.monotonic() + setup.seconds
        self._sandbox: Sandbox | None = None
        self._image, self._last = setup.folder / "checkpoint-none", 0

    def run(self) -> None:
        """Measure everything that the time allows."""
        settings = huge_pages.SETTINGS if self._setup.huge_pages else {}
        try:
            with huge_pages.applied(settings):
                self._report.know(huge_pages=huge_pages.text(huge_pages.current()))
                self._measure()
        except PlaceError as error:
            self._report.fail(f"huge pages: {error}")

    def _measure(self) -> None:
        if self._succeeds("saving the model", self._runs.save_model):
            for name, part in self._parts():
                self._succeeds(name, part)

    def _parts(self) -> Iterator[Part]:
        setup = self._setup
        first = partial(self._runs.start_on_node, "warm", first=True)
        yield "start on the node, page cache warm", first
        yield "start in the sandbox, page cache warm", self._start
        yield f"{setup.rounds} checkpoints and restores in a row", self._in_a_row
        yield "where the time of a restore goes", self._timeline
        if setup.gpu:
            yield "restores while another program uses the GPU", self._beside_another
        if setup.huge_pages:
            yield "restores without huge pages", self._small_pages
        if setup.at_once:
            yield f"{setup.at_once} restores at once", self._at_once
        for turn in range(1, COLD_ROUNDS + 1):
            yield f"reads of a checkpoint, round {turn}", self._reads
            yield f"restores, page cache cold, round {turn}", self._cold_restores
        yield "checkpoint without pages of zeros", self._without_zeros
        if setup.compression:
            yield "checkpoint with compression", self._compressed
        yield "end of the sandbox", self._end_sandbox
        for turn in range(setup.starts):
            yield from self._starts(turn)

    def _succeeds(self, name: str, part: Callable[[], None]) -> bool:
        """Run a part; it is left out if the time is over, and a failure is recorded."""
        if time.monotonic() > self._end:
            self._report.fail(f"{name}: the time of {self._setup.seconds:g} s was over")
            return False
        begun = time.monotonic()
        try:
            part()
        except (PlaceError, OSError) as error:
            self._report.fail(f"{name}: {error}")
            self._log(f"{name} failed: {error}")
            return False
        self._log(f"{name}: {time.monotonic() - begun:.1f} s")
        return True

    def _starts(self, turn: int) -> Iterator[Part]:
        """Yield starts of both sides with a cold and a warm page cache; their order changes.

        The first warm starts were measured before.
        """
        sides = [("on the node", self._runs.start_on_node), ("in the sandbox", self._start_and_end)]
        for cache in ("cold", "warm") if turn else ("cold",):
            for name, start in sides if turn % 2 else sides[::-1]:
                yield f"start {name}, page cache {cache}", partial(start, cache)

    def _start(self) -> None:
        sandbox = self._runs.start_in_sandbox("warm")
        self._runs.warm_up(sandbox)
        self._sandbox = sandbox

    def _start_and_end(self, cache: str) -> None:
        self._boxes.end(self._runs.start_in_sandbox(cache))

    def _end_sandbox(self) -> None:
        """End every sandbox, also those of parts that failed, before the next measurement."""
        self._sandbox = None
        self._boxes.close()

    def _save(self, image: Path, kind: str = "none", options: Sequence[str] = ()) -> int:
        """Save the running sandbox."""
        if not self._sandbox:
            raise PlaceError("no sandbox is running, because an earlier part failed")
        sandbox, self._sandbox = self._sandbox, None
        return self._runs.save(sandbox, image, kind, options)

    def _saved(self) -> int:
        """The number of the last token in the checkpoint that was restored."""
        if not self._last:
            raise PlaceError("no checkpoint exists, because an earlier part failed")
        return self._last

    def _in_a_row(self) -> None:
        """Save and restore again and again, every other time with --background."""
        for turn in range(self._setup.rounds):
            last = self._save(self._image)
            name, options = ("", ()) if turn % 2 else ("background_", BACKGROUND)
            key = f"restore_{name}warm"
            self._sandbox = self._runs.restore(self._image, last, key, options)
            self._last = last
            self._log(f"checkpoint and restore {turn + 1} of {self._setup.rounds}")
        self._report.add("in_a_row", self._setup.rounds)

    def _at_once(self) -> None:
        count = self._setup.at_once
        self._runs.restore_at_once(self._image, self._saved(), count, BACKGROUND)

    def _reads(self) -> None:
        self._saved()
        self._runs.read(self._image)

    def _cold_restores(self) -> None:
        """Restore the last checkpoint once in each way."""
        ways = {"background_": BACKGROUND, "direct_": (*BACKGROUND, "--direct"), "": ()}
        for name, options in ways.items():
            self._runs.prepare("cold")
            key = f"restore_{name}cold"
            sandbox = self._runs.restore(self._image, self._saved(), key, options)
            self._boxes.end(sandbox)

    def _timeline(self) -> None:
        self._runs.restore_with_log(self._image, self._saved(), BACKGROUND)

    def _beside_another(self) -> None:
        with self._runs.another_program():
            self._restore_again("restore_beside_warm")

    def _small_pages(self) -> None:
        with huge_pages.applied(huge_pages.NEVER):
            self._restore_again("restore_small_warm")

    def _restore_again(self, key: str) -> None:
        for _ in range(SIDE_ROUNDS):
            self._boxes.end(self._runs.restore(self._image, self._saved(), key, BACKGROUND))

    def _without_zeros(self) -> None:
        """Save without pages of zeros; the restored sandbox goes on."""
        image = self._setup.folder / "checkpoint-zeros"
        last = self._save(image, "zeros", WITHOUT_ZEROS)
        self._sandbox = self._runs.restore(image, last, "restore_zeros_warm", BACKGROUND)

    def _compressed(self) -> None:
        image = self._setup.folder / "checkpoint-flate"
        last = self._save(image, "flate")
        for cache in ("warm", "cold"):
            self._runs.prepare(cache)
            self._boxes.end(self._runs.restore(image, last, f"restore_flate_{cache}"))


def measure(setup: Setup, report: Report, log: Log) -> None:
    """Measure all figures that the time allows; failures are in the report."""
    mounts = ((setup.probes, PROBES_MOUNT), (setup.model, MODEL_MOUNT))
    command = (setup.python, f"{PROBES_MOUNT}/model.py", MODEL_MOUNT)
    gpus = setup.gpu or NONE
    container = Container(
        Path(setup.place.clean_root), command, {}, mounts, gpus, checkpoint=setup.mounted
    )
    own = setup.folder / "bundle"
    setup.model.mkdir()
    bundle.write(setup.node, container, own, setup.place.host)
    with session.opened(setup.place, own, setup.flags) as boxes:
        Measurement(setup, boxes, report, log).run()
