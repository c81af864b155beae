"""Known causes of a failed sandbox, found in logs and messages; users see only EOF."""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from worker_images.model.drivers.table import Table
from worker_images.node.explain import cause, events, log_text, signatures, writers
from worker_images.node.explain.cause import HARMLESS, Cause, Hit
from worker_images.node.explain.error_lines import ErrorLines
from worker_images.node.explain.events import Event, Pods
from worker_images.node.explain.log_text import Block, Spans, line_of, numbered, shown
from worker_images.node.explain.outcome import Outcomes
from worker_images.node.explain.signatures import AFTER, NOTE, SIGNATURES, LogSignature

# Different matches of one signature that are kept, for example calls that nvproxy refused.
MAX_MATCHES = 50
MAX_EXPLAINED = 100_000
NOT_CAUSES = {HARMLESS, *(each.name for each in SIGNATURES if each.rank.startswith(AFTER))}
# What CUDA reports after a call that nvproxy refused.
FAILURE = "call refused"
# runsc's first lines name its release and architecture; these commands begin a run. --rootless
# starts runsc again, as /proc/self/exe.
VERSION = re.compile(r"Version release-(\d{8}\.\d{1,9})[^,\n]{0,60}, go[^,\n]{1,40}, (amd64|arm64)")
BEGIN = re.compile(
    r"Args: \[(?!/proc/self/exe )[^\n \]]{1,300}"
    r"(?: -[^\n ]{1,1000}(?: [^\n -][^\n ]{0,1000})?){0,99}?"
    r" (?:run|create|restore|do) "
)
# How the sandbox's program ended.
END = re.compile(r"application exiting with ([a-z0-9 ()]{1,60})")
SUCCESS = "exit status 0"
ENDED_WELL = f"the program ended with {SUCCESS}"
WENT_ON = "the program went on after this line"
UNUSED = "the program went on after this line, and nothing shows that it should have a GPU"


@dataclass
class Search:
    """What was found in the logs of one run."""

    hits: dict[tuple[str, tuple[str, ...], int], Hit] = field(default_factory=dict)
    error_lines: ErrorLines = field(default_factory=ErrorLines)
    explained: set[tuple[str, int]] = field(default_factory=set)
    files: list[str] = field(default_factory=list)
    runsc_logs: set[str] = field(default_factory=set)
    pods: Pods = field(default_factory=Pods)
    outcomes: Outcomes = field(default_factory=Outcomes)
    begins: dict[str, int] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    release: str = ""
    architecture: str = ""

    def read(self, block: Block) -> None:
        """Search a block."""
        block = Block(events.unfolded(block.text), block.file, block.number)
        if block.file not in self.files:
            self.files.append(block.file)
        if found := VERSION.search(block.text):
            self.release, self.architecture = found[1], found[2]
        if block.file not in self.runsc_logs and writers.is_runsc_log(block):
            self.runsc_logs.add(block.file)
        starts = [match.start() for match in BEGIN.finditer(block.text)]
        self._match(block, starts)
        self.outcomes.read(
            block, is_needed=any(hit.signature.recovery for hit in self.hits.values())
        )
        self.error_lines.read(block, starts[-1] if starts else 0)
        self._keep_end(block, starts)
        self.begins[block.file] = self.begins.get(block.file, 0) + len(starts)

    def _match(self, block: Block, starts: list[int]) -> None:
        rows = events.read(block.text)
        self.pods.add(block.file, rows)
        explained = Spans()
        for signature in SIGNATURES:
            if any(needle in block.text for needle in signature.needles):
                matches = [
                    match
                    for match in log_text.own(re.finditer(signature.pattern, block.text))
                    if not explained.overlap(match) and self._is_of_writer(signature, match, block)
                ]
                explained.add(matches)
                for match, number in numbered(matches, block):
                    event = events.at(match.start(), rows)
                    self._add(signature, match, (block.file, number), starts, event)

    def _is_of_writer(self, signature: LogSignature, match: re.Match[str], block: Block) -> bool:
        in_runsc_log = block.file in self.runsc_logs
        return not signature.writer or writers.is_runtime(match, in_runsc_log=in_runsc_log)

    def _add(
        self,
        signature: LogSignature,
        match: re.Match[str],
        place: tuple[str, int],
        starts: list[int],
        event: Event | None,
    ) -> None:
        file, number = place
        run = self.begins.get(file, 0) + sum(start < match.start() for start in starts)
        groups = tuple(each or "" for each in match.groups())
        last = (self.files.index(file), number)
        key = (signature.name, (*groups, event.of if event else ""), max(run, 1))
        if len(self.explained) < MAX_EXPLAINED:
            self.explained.add(place)
        if log_text.is_over(match, signature.end):
            return
        if found := self.hits.get(key):
            found.last = last
            if event and found.event and event.time > found.event.time:
                found.event = event
        elif sum(name == signature.name for name, _, _ in self.hits) < MAX_MATCHES:
            self.hits[key] = Hit(signature, groups, line_of(match), shown(*place), last, event)

    def _keep_end(self, block: Block, starts: list[int]) -> None:
        last = deque(END.finditer(block.text), maxlen=1)
        if last:
            self.ends[block.file] = last[0][1].strip()
        if starts and (not last or last[0].start() < starts[-1]):
            self.ends.pop(block.file, None)

    @property
    def end(self) -> str:
        """How the program of the last run ended; empty if that is not known."""
        return next(iter(self.ends.values()), "")

    def _newest(self, file: str) -> int:
        return max(self.begins.get(file, 0), 1)

    def causes(self, drivers: Table) -> list[Cause]:
        """The known causes of the last run, most likely first."""
        return self._causes(drivers, older=False)

    def older(self, drivers: Table) -> list[Cause]:
        """The known causes of earlier runs in the same files."""
        return self._causes(drivers, older=True)

    def notes(self, drivers: Table) -> list[Cause]:
        """Lines of the last run that look like a cause and are none, each with the reason."""
        rows = []
        for hit in self._hits(older=False):
            if hit.signature.rank == NOTE:
                rows.append(self._cause(hit, drivers))
            elif why := self._recovered(hit):
                rows.append(Cause(hit.signature.name, hit.line, why, "", hit.place))
        return rows

    def _hits(self, *, older: bool) -> list[Hit]:
        """The matches of the last run or of earlier ones, except those that are over."""
        return [
            hit
            for (_, _, run), hit in self.hits.items()
            if (run < self._newest(hit.file)) == older
            and not (hit.event and self.pods.is_over(hit.file, hit.event, hit.signature.end))
        ]

    def _recovered(self, hit: Hit) -> str:
        """Why a match is no cause although its signature is one; empty if it is a cause."""
        how = hit.signature.recovery
        if not how or (how == signatures.PROBE and self.outcomes.wants_gpu):
            return ""
        if self.end == SUCCESS or self.outcomes.ended_well:
            return ENDED_WELL
        if not self.outcomes.went_on(hit.file, hit.line, hit.last[1]):
            return ""
        return UNUSED if how == signatures.PROBE else WENT_ON

    def _causes(self, drivers: Table, *, older: bool) -> list[Cause]:
        hits = [
            hit
            for hit in self._hits(older=older)
            if hit.signature.rank != NOTE and not (not older and self._recovered(hit))
        ]
        named = {hit.signature.name for hit in hits if any(hit.groups)}
        hits = [hit for hit in hits if any(hit.groups) or hit.signature.name not in named]
        rows = sorted(hits, key=lambda hit: self._order(hit, hits))
        ranks = {hit.signature.rank for hit in rows if not cause.is_harmless(hit)}
        followed = {f"{AFTER}{rank}" for rank in ranks}
        return [self._cause(hit, drivers) for hit in rows if hit.signature.rank not in followed]

    def _order(self, hit: Hit, hits: list[Hit]) -> tuple[bool, int, bool, int, int]:
        """Specific signatures first; of several matches of one, the last before CUDA's error."""
        failures = [each.last for each in hits if each.signature.name == FAILURE]
        is_after = bool(failures) and hit.last > min(failures)
        position = SIGNATURES.index(hit.signature)
        return (cause.is_harmless(hit), position, is_after, -hit.last[0], -hit.last[1])

    def _cause(self, hit: Hit, drivers: Table) -> Cause:
        return cause.of(hit, drivers, self.release, self.architecture)

    def unexplained(self) -> list[str]:
        """Lines that look like errors and that no cause explains, with their places."""
        return self.error_lines.shown(self.explained)


def search(parts: Iterable[Block]) -> Search:
    """Search the logs of one run."""
    found = Search()
    for part in parts:
        found.read(part)
    return found


def explain(text: str, drivers: Table) -> Iterator[Cause]:
    """Yield each known cause in the output of runsc and the program, most likely first.

    Neither harmless calls nor the outside of a failure are causes here.
    """
    found = search([Block(text)]).causes(drivers)
    yield from (each for each in found if each.name not in NOT_CAUSES)
