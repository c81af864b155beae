"""Events as kubectl get events prints them: a table, JSON or YAML. Each is of one object."""

import re
from bisect import bisect_right
from calendar import timegm
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import strptime

# A message that YAML wraps into several lines.
FOLDED = re.compile(
    r"^( {0,40})message: (?=[^\n]{40})([^\n]{1,5000})((?:\n\1 {1,8}[^\n]{1,5000}){1,99})\n",
    re.MULTILINE,
)
ROW = re.compile(
    r"^(?:([a-z0-9][a-z0-9-]{0,62}) {1,60})?"
    r"(<unknown>|(?:\d{1,9}[ydhms]){1,3}(?: \(x\d{1,9} over [^)\n]{1,20}\))?) {1,60}"
    r"(?:Normal|Warning) {1,60}(\w{1,60}) {1,60}([A-Za-z]{1,40})/([\w.-]{1,253})",
    re.MULTILINE,
)
AGE = re.compile(r"(\d{1,9})([ydhms])")
SECONDS = {"y": 31536000, "d": 86400, "h": 3600, "m": 60, "s": 1}
# Keys are sorted, so the type of an event is its last key.
LAST_KEY = re.compile(
    r"\"type\": ?\"(?:Normal|Warning)\"|^ {0,40}type: (?:Normal|Warning)$", re.MULTILINE
)
OBJECT = re.compile(
    r"\"involvedObject\": ?\{([^{}]{0,2000})\}"
    r"|^( {0,40})involvedObject:\n((?:\2 {2}[^\n]*\n){1,9})",
    re.MULTILINE,
)
KEY = re.compile(r"\"?\b(kind|name|namespace)\"?: ?\"?([\w.-]{1,253})")
TIME = re.compile(
    r"(?<!\\)\b(?:lastTimestamp|eventTime|lastObservedTime)\"?: ?\""
    r"(\d{4}(?:-\d\d){2}T\d\d(?::\d\d){2})"
)
REASON = re.compile(r"(?:(?<!\\)\"reason\": ?\"|^ {0,40}reason: )(\w{1,60})", re.MULTILINE)
MAX_PODS = 10_000


@dataclass(frozen=True)
class Event:
    """An event: its part of the text, its object, its reason, and its time, which sorts."""

    span: tuple[int, int]
    of: str
    reason: str
    time: float


@dataclass
class Pods:
    """The newest time of each reason, for each object in each file."""

    newest: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def add(self, file: str, events: Sequence[Event]) -> None:
        """Add the events of a part of a file."""
        for event in events:
            key = file, event.of, event.reason
            if key in self.newest or len(self.newest) < MAX_PODS:
                self.newest[key] = max(event.time, self.newest.get(key, event.time))

    def is_over(self, file: str, event: Event, reasons: str) -> bool:
        """Whether an event of one of the reasons, separated by |, came to its object since."""
        times = [self.newest.get((file, event.of, reason)) for reason in reasons.split("|")]
        return any(time is not None and time >= event.time for time in times)


def unfolded(text: str) -> str:
    """The text with each message of YAML in one line; the number of lines stays."""
    if "message: " not in text or "apiVersion: " not in text:
        return text

    def joined(found: re.Match[str]) -> str:
        rest = [line.strip().removeprefix("\\") for line in found[3].split("\n")[1:]]
        first = found[2].removesuffix("\\")
        message = " ".join(part.strip().removesuffix("\\") for part in (first, *rest))
        return f"{found[1]}message: {message}{chr(10) * (len(rest) + 1)}"

    return FOLDED.sub(joined, text)


def read(text: str) -> list[Event]:
    """The events in a text, in its order."""
    if "Normal" not in text and "Warning" not in text:
        return []
    found = list(_rows(text))
    return found or (list(_objects(text)) if "involvedObject" in text else [])


def at(position: int, events: Sequence[Event]) -> Event | None:
    """The event that a position belongs to."""
    index = bisect_right(events, position, key=lambda event: event.span[0]) - 1
    found = events[index] if index >= 0 else None
    return found if found and position < found.span[1] else None


def _rows(text: str) -> Iterator[Event]:
    for row in ROW.finditer(text):
        end = text.find("\n", row.end())
        span = row.start(), len(text) if end < 0 else end
        yield Event(span, _name(row[4], row[1], row[5]), row[3], -_seconds(row[2]))


def _seconds(age: str) -> float:
    parts = AGE.findall(age.partition("(")[0])
    return float(sum(int(count) * SECONDS[unit] for count, unit in parts))


def _objects(text: str) -> Iterator[Event]:
    begin = 0
    for last in LAST_KEY.finditer(text):
        part, start = text[begin : last.end()], begin
        begin = last.end()
        involved, reason = OBJECT.search(part), REASON.search(part)
        if involved and reason:
            keys = dict(KEY.findall(involved[1] or involved[3]))
            name = _name(keys.get("kind", ""), keys.get("namespace", ""), keys.get("name", ""))
            time = max(map(_moment, TIME.findall(part)), default=0.0)
            yield Event((start, begin), name, reason[1], time)


def _moment(text: str) -> float:
    try:
        return float(timegm(strptime(text, "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return 0.0


def _name(kind: str, namespace: str | None, name: str) -> str:
    full = f"{namespace}/{name}" if namespace else name
    return f"{kind.lower()} {full}"
