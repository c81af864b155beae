"""The text of a log, in blocks of bounded size; which of its lines say nothing about a failure."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

# A log is searched in blocks, which end with a line. A longer line is cut into blocks that overlap.
BLOCK_BYTES = 1 << 20
OVERLAP_BYTES = 4096
# What is shown of a line: the match, and this much before it.
SHOWN_CHARACTERS = 300
SHOWN_BEFORE = 100
# Events of one pod are this near to each other in the output of kubectl describe.
EVENTS_CHARACTERS = 64 << 10
# Lines that repeat what the user wrote or the program did: system calls, which fail for many
# reasons, the program's arguments, names of tests, and commands in a shell, some of which search
# for a message.
REPEATED = re.compile(
    r"strace\.go:\d|specutils\.go:\d{1,6}\] Spec:|\] EXEC: \[\]string\{|cli\.go:\d{1,6}\] Args: \["
    r"|^[\w./-]{1,200}\.py::\w"
    r"|\bgrep (?:-[\w-]{1,20} ){0,4}['\"]"
    r"|^(?:[$#]|\+{1,9}|\[?[\w.-]{1,40}@[\w.-]{1,60}[: ][^\n$#]{0,80}[$#]) "
)
# The specification in a log of glog's format has many lines.
SPECIFICATION = re.compile(r"specutils\.go:\d{1,6}\] Spec:\n\{\n(?: [^\n]*\n)*")
FATAL = re.compile(r"FATAL ERROR|panic: |fatal error: ")
# Lines that look like errors. Those of the levels debug and info are none, and neither are those of
# runsc's chart of a restore's times.
ERROR = re.compile(
    r"^(?![DI]\d{4} |\[\d\d:\d\d:\d\d\.\d{6}\]\t {0,20}\+"
    r"|[^\n]{0,300}? (?:level=(?:info|debug)|NCCL INFO) "
    r"|\{\"(?:msg|log)\":[^\n]{0,5000}\"level\":\"(?:info|debug)\")"
    r"[^\n]{0,500}?(?:\b[Ee]rror\b(?!\"?: ?(?:\"\"|null|<nil>|nil))|Error: |ERROR|^[EF]\d{4} "
    r"|\b[Ff]ailed\b|(?<!\"reason\": \")(?<!reason: )\bFailed[A-Z]|\bException\b|\b[Ff]atal\b"
    r"|\[(?:emerg|alert|crit)\]|level=(?:error|fatal))",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A part of a log, with the log's name and the number of its first line."""

    text: str
    file: str = ""
    number: int = 1


def blocks(log: BinaryIO, file: str = "") -> Iterator[Block]:
    """Yield a log in blocks of bounded size; other bytes than UTF-8 are replaced."""
    rest, number = b"", 1
    while data := log.read(BLOCK_BYTES):
        data += log.readline(OVERLAP_BYTES)
        yield Block((rest + data).decode(errors="replace"), file, number)
        number += data.count(b"\n")
        rest = b"" if data.endswith(b"\n") else data[-OVERLAP_BYTES:]


class Spans:
    """Parts of a text."""

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self._spans = sorted(spans)

    def add(self, matches: Iterable[re.Match[str]]) -> None:
        """Add the parts that matches have."""
        self._spans = sorted([*self._spans, *(match.span() for match in matches)])

    def overlap(self, match: re.Match[str]) -> bool:
        """Whether a match and one of the parts have a character in common."""
        index = bisect_left(self._spans, (match.end(), 0)) - 1
        return index >= 0 and self._spans[index][1] > match.start()


def own(matches: Iterable[re.Match[str]]) -> Iterator[re.Match[str]]:
    """The matches in a text, except in what repeats the user's words or the program's calls."""
    specifications = None
    for match in matches:
        if specifications is None:
            found = SPECIFICATION.finditer(match.string)
            specifications = Spans(each.span() for each in found)
        begin = line_start(match)
        line = match.string[begin : begin + SHOWN_BEFORE].partition("\n")[0]
        if not REPEATED.search(line) and not specifications.overlap(match):
            yield match


def is_over(match: re.Match[str], end: str) -> bool:
    """Whether a later event of the same pod, in the output of kubectl describe, ends a cause.

    The end is the reason of that event, or several separated by |.
    """
    text, start = match.string, match.start()
    if not end or text.rfind("\nEvents:", max(start - EVENTS_CHARACTERS, 0), start) < 0:
        return False
    ending = re.compile(rf"\n {{1,40}}Normal {{1,40}}(?:{end}) ")
    found = ending.search(text, start, start + EVENTS_CHARACTERS)
    return found is not None and text.find("\nName:", start, found.start()) < 0


def numbered(matches: Iterable[re.Match[str]], block: Block) -> Iterator[tuple[re.Match[str], int]]:
    """Yield matches in order, with the numbers of their lines."""
    number, position = block.number, 0
    for match in matches:
        number += block.text.count("\n", position, match.start())
        position = match.start()
        yield match, number


def shown(file: str, number: int, line: str = "") -> str:
    """A place, or a line with its place; a text without a file has none."""
    place = f"{file}:{number}" if file else ""
    return ": ".join(filter(None, [place, line]))


def line_start(match: re.Match[str]) -> int:
    """Where the line of a match begins."""
    return match.string.rfind("\n", 0, match.start()) + 1


def line_of(match: re.Match[str]) -> str:
    """Return the line of a match, or the part of a long line that begins shortly before it."""
    text = match.string
    begin = max(line_start(match), match.start() - SHOWN_BEFORE)
    return text[begin : begin + SHOWN_CHARACTERS].partition("\n")[0].strip()
