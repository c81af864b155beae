"""Lines that look like errors, the most relevant first."""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from worker_images.node.explain import log_text
from worker_images.node.explain.log_text import Block, line_of, numbered, shown

MAX_FATAL = 50
SHOWN = 5
# Of the lines of a block that look like errors, the last ones are kept.
KEPT = 50
FATAL_WORDS = ("FATAL ERROR", "panic: ", "fatal error: ")
# An exception that a program ends with, or a message of the level error.
SERIOUS = re.compile(
    r"^(?:\[rank\d{1,5}\]: )?[\w.]{1,100}(?:Error|Exception)\b|^[EF]\d{4} |\bERROR\b"
    r"|level=(?:error|fatal)|\[(?:emerg|alert|crit)\]|\"level\":\"(?:error|fatal)\""
    r"|\bNVRM: |\b[Ff]atal\b"
)
# Two lines that differ only in these show the same error.
VARYING = re.compile(r"[0-9a-f]{6,64}|\d{1,20}|\s{1,20}")


@dataclass
class ErrorLines:
    """The fatal lines of all blocks, and the other errors of the last block of each file."""

    fatal: dict[tuple[str, int], str] = field(default_factory=dict)
    tails: dict[str, tuple[Block, int]] = field(default_factory=dict)

    def read(self, block: Block, begin: int) -> None:
        """Find the errors of a block; those before a position are of an earlier run."""
        if any(word in block.text for word in FATAL_WORDS):
            for match, number in numbered(log_text.own(log_text.FATAL.finditer(block.text)), block):
                self.fatal[block.file, number] = line_of(match)
                if len(self.fatal) > MAX_FATAL:
                    del self.fatal[next(iter(self.fatal))]
        self.tails[block.file] = block, begin

    def shown(self, explained: Iterable[tuple[str, int]]) -> list[str]:
        """The lines that no cause explains, with their places: fatal ones, serious ones, others.

        Of several of one kind the last ones are shown, in their order.
        """
        done = set(explained)
        rows = dict(self.fatal)
        for block, begin in self.tails.values():
            rows |= _errors(block, begin)
        kinds: list[dict[str, str]] = [{}, {}, {}]
        for place, line in rows.items():
            if place not in done:
                kind = 0 if place in self.fatal else 1 if SERIOUS.search(line) else 2
                same = VARYING.sub("", line)
                kinds[kind].pop(same, None)
                kinds[kind][same] = shown(*place, line)
        found: list[str] = []
        for lines in kinds:
            found += list(lines.values())[-(SHOWN - len(found)) :] if len(found) < SHOWN else []
        return found


def _errors(block: Block, begin: int) -> dict[tuple[str, int], str]:
    matches = numbered(log_text.own(log_text.ERROR.finditer(block.text)), block)
    rows = deque(((match, n) for match, n in matches if match.start() >= begin), maxlen=KEPT)
    return {(block.file, number): line_of(match) for match, number in rows}
