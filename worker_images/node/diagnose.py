"""Known causes of a failed sandbox, found in logs and messages; users see only EOF."""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from worker_images.model.drivers.advice import advise
from worker_images.model.drivers.table import Table
from worker_images.node import log_text, signatures
from worker_images.node.log_text import Block, Spans, line_of, numbered, shown
from worker_images.node.signatures import AFTER, SIGNATURES, LogSignature

# Different matches of one signature that are kept, for example calls that nvproxy refused.
MAX_MATCHES = 50
MAX_EXPLAINED = 100_000
CALLS = "wrong ABI"
HARMLESS = "harmless call"
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
SHOWN_ERRORS = 5


@dataclass(frozen=True)
class Cause:
    """A known cause: its name, the line that shows it and its place, a message, the next step."""

    name: str
    line: str
    message: str
    step: str
    place: str = ""


@dataclass
class Hit:
    """A match of a signature: its first line and place, its groups, and where it was last seen."""

    signature: LogSignature
    groups: tuple[str, ...]
    line: str
    place: str
    last: tuple[int, int]


@dataclass
class Search:
    """What was found in the logs of one run."""

    hits: dict[tuple[str, tuple[str, ...], int], Hit] = field(default_factory=dict)
    fatal: dict[tuple[str, int], str] = field(default_factory=dict)
    explained: set[tuple[str, int]] = field(default_factory=set)
    tails: dict[str, Block] = field(default_factory=dict)
    begins: dict[str, int] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    release: str = ""
    architecture: str = ""

    def read(self, block: Block) -> None:
        """Search a block."""
        if found := VERSION.search(block.text):
            self.release, self.architecture = found[1], found[2]
        starts = [match.start() for match in BEGIN.finditer(block.text)]
        explained = Spans()
        for signature in SIGNATURES:
            if any(needle in block.text for needle in signature.needles):
                matches = [
                    match
                    for match in log_text.own(re.finditer(signature.pattern, block.text))
                    if not explained.overlap(match) and not log_text.is_over(match, signature.end)
                ]
                explained.add(matches)
                for match, number in numbered(matches, block):
                    self._add(signature, match, (block.file, number), starts)
        if any(word in block.text for word in ("FATAL ERROR", "panic: ", "fatal error: ")):
            self._keep_fatal(block)
        self._keep_end(block, starts)
        self.begins[block.file] = self.begins.get(block.file, 0) + len(starts)
        self.tails[block.file] = block

    def _add(
        self,
        signature: LogSignature,
        match: re.Match[str],
        place: tuple[str, int],
        starts: list[int],
    ) -> None:
        file, number = place
        run = self.begins.get(file, 0) + sum(start < match.start() for start in starts)
        groups = tuple(each or "" for each in match.groups())
        last = ([*self.tails, file].index(file), number)
        key = (signature.name, groups, max(run, 1))
        if len(self.explained) < MAX_EXPLAINED:
            self.explained.add(place)
        if key in self.hits:
            self.hits[key].last = last
        elif sum(name == signature.name for name, _, _ in self.hits) < MAX_MATCHES:
            self.hits[key] = Hit(signature, groups, line_of(match), shown(*place), last)

    def _keep_fatal(self, block: Block) -> None:
        for match, number in numbered(log_text.own(log_text.FATAL.finditer(block.text)), block):
            self.fatal[block.file, number] = line_of(match)
            if len(self.fatal) > MAX_MATCHES:
                del self.fatal[next(iter(self.fatal))]

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

    def _causes(self, drivers: Table, *, older: bool) -> list[Cause]:
        hits = [
            hit
            for (_, _, run), hit in self.hits.items()
            if (run < self._newest(hit.place.rpartition(":")[0])) == older
        ]
        rows = sorted(hits, key=lambda hit: self._order(hit, hits))
        ranks = {hit.signature.rank for hit in rows if not _is_harmless(hit)}
        followed = {f"{AFTER}{rank}" for rank in ranks}
        return [self._cause(hit, drivers) for hit in rows if hit.signature.rank not in followed]

    def _order(self, hit: Hit, hits: list[Hit]) -> tuple[bool, int, bool, int, int]:
        """Specific signatures first; of several matches of one, the last before CUDA's error."""
        failures = [each.last for each in hits if each.signature.name == FAILURE]
        is_after = bool(failures) and hit.last > min(failures)
        position = SIGNATURES.index(hit.signature)
        return (_is_harmless(hit), position, is_after, -hit.last[0], -hit.last[1])

    def _cause(self, hit: Hit, drivers: Table) -> Cause:
        signature = hit.signature
        call = hit.groups[0] if hit.groups else ""
        if _is_harmless(hit):
            why = f"nvproxy has no handler for {call}: {signatures.harmless(call)}"
            return Cause(HARMLESS, hit.line, why, "nothing to do for this call", hit.place)
        values = {}
        if signature.name == "unserved driver":
            release = drivers.get(self.release)
            values["advice"] = advise(call, drivers, release, architecture=self.architecture).text
        if signature.name == "missing capability":
            values["capability"] = signatures.capability(call)
        message = signature.message.format(*hit.groups, **values)
        step = signature.step.format(*hit.groups, **values)
        return Cause(signature.name, hit.line, message, step, hit.place)

    def unexplained(self) -> list[str]:
        """Lines that look like errors and that no cause explains, with their places."""
        lines = [
            shown(file, number, line)
            for (file, number), line in self.fatal.items()
            if (file, number) not in self.explained
        ]
        return lines[-SHOWN_ERRORS:]

    def errors(self) -> list[str]:
        """The last lines that look like errors."""
        found: list[str] = []
        for block in self.tails.values():
            matches = numbered(log_text.own(log_text.ERROR.finditer(block.text)), block)
            last = deque(matches, maxlen=SHOWN_ERRORS)
            found += [shown(block.file, number, line_of(match)) for match, number in last]
        return found[-SHOWN_ERRORS:]


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
    yield from (cause for cause in found if cause.name not in NOT_CAUSES)


def _is_harmless(hit: Hit) -> bool:
    return hit.signature.name == CALLS and bool(signatures.harmless(hit.groups[0]))
