"""Strict YAML: quoted strings, lists and mappings only; every fault has its line and column."""

import itertools
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml

from worker_images.errors import MAX_FINDINGS, DocumentError, Finding

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16

Location = tuple[str | int, ...]


class Mark(NamedTuple):
    """A position in a file, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """A parsed file: its value, the position of each key and item, and its faults.

    `below` is the file whose values this one adds to; its marks are those of the values that stay.
    """

    file: str
    value: object
    marks: Mapping[Location, Mark]
    findings: tuple[Finding, ...]
    below: "Document | None" = None

    def has(self, location: Location) -> bool:
        """Whether a location has a value in this file or in the one below."""
        return location in self.marks or bool(self.below and self.below.has(location))

    def finding(self, location: Location, what: str, why: str, fix: str) -> Finding:
        """A fault at `location`, or at its nearest ancestor that is in the file."""
        if self.below and location not in self.marks and location in self.below.marks:
            return self.below.finding(location, what, why, fix)
        known = location
        while known not in self.marks and known:
            known = known[:-1]
        return Finding(
            self.file, *self.marks.get(known, Mark(1, 1)), dotted(location), what, why, fix
        )


def dotted(location: Location) -> str:
    """A key path as text: fleet.drivers[1]."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.lstrip(".") or "(file)"


def quoted(value: object) -> str:
    """A value quoted for a message: ASCII only, so that it cannot control a terminal."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def read(path: Path, name: str | None = None) -> Document:
    """Parse a file; raises DocumentError.

    Faults that leave a value to validate are kept in the document instead.
    """
    name = name or str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DocumentError(
            [
                _fault(
                    name,
                    Mark(1, 1),
                    "cannot be read",
                    error.strerror or "I/O error",
                    "use a file that exists",
                )
            ]
        ) from error
    if len(data) > MAX_BYTES:
        raise DocumentError(
            [_fault(name, Mark(1, 1), "too large", "over 256 KiB", "remove what is not a pin")]
        )
    return parse(data, name)


def parse(data: bytes, name: str) -> Document:
    """Parse bytes; raises DocumentError for text that is not strict YAML."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        place = Mark(data.count(b"\n", 0, error.start) + 1, 1)
        raise DocumentError(
            [_fault(name, place, "not UTF-8", f"byte {error.start}", "save it as UTF-8")]
        ) from error
    raise_findings(list(itertools.islice(_characters(text, name), MAX_FINDINGS)))
    try:
        raise_findings(list(_events(text, name)))
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        place = _mark(error.problem_mark or error.context_mark)
        raise DocumentError(
            [_fault(name, place, "not valid YAML", str(error.problem), "correct the line")]
        ) from error
    if not isinstance(root, yaml.MappingNode):
        raise DocumentError(
            [_fault(name, Mark(1, 1), "not a mapping", "the file must hold keys", "see the README")]
        )
    builder = _Builder(name)
    value = builder.build(root, ())
    return Document(name, value, builder.marks, tuple(builder.findings))


def raise_findings(findings: list[Finding]) -> None:
    """Raise DocumentError if there are findings."""
    if findings:
        raise DocumentError(findings)


def _fault(name: str, place: Mark, what: str, why: str, fix: str) -> Finding:
    return Finding(name, *place, "(file)", what, why, fix)


def _characters(text: str, name: str) -> Iterator[Finding]:
    """Invisible characters: control, bidirectional and others."""
    if "\r\n" in text:
        place = Mark(text.count("\n", 0, text.index("\r\n")) + 1, 1)
        fix = "convert it, for example with dos2unix"
        yield _fault(name, place, "Windows line ends", "lines end with CRLF, and need LF", fix)
        return
    line, start = 1, 0
    for position, character in enumerate(text):
        if character == "\n":
            line, start = line + 1, position + 1
        elif unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
            yield _fault(
                name,
                Mark(line, position - start + 1),
                f"character U+{ord(character):04X}",
                "it is invisible",
                "delete it",
            )


def _events(text: str, name: str) -> Iterator[Finding]:
    """YAML features that a composer would act on, such as aliases, anchors and tags.

    Stops where the nesting is too deep or a second document begins.
    """
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(
            event, yaml.CollectionEndEvent
        )
        documents += isinstance(event, yaml.DocumentStartEvent)
        if what := _not_allowed(event, depth, documents):
            why = "only plain data is allowed"
            yield _fault(name, _mark(event.start_mark), what, why, "write the value itself")
        if depth > MAX_DEPTH or documents > 1:
            return


def _not_allowed(event: yaml.Event, depth: int, documents: int) -> str:
    features = (
        (depth > MAX_DEPTH, f"nested deeper than {MAX_DEPTH}"),
        (documents > 1, "a second document"),
        (isinstance(event, yaml.AliasEvent), "an alias"),
        (getattr(event, "anchor", None), "an anchor"),
        (getattr(event, "tag", None), "a tag"),
        (
            isinstance(event, yaml.ScalarEvent) and event.value == "<<" and not event.style,
            "a merge key",
        ),
    )
    return next((what for present, what in features if present), "")


class _Builder:
    """Turn nodes into plain values and record the position of each."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.marks: dict[Location, Mark] = {}
        self.findings: list[Finding] = []

    def build(self, node: yaml.Node, location: Location) -> object:
        self.marks.setdefault(location, _mark(node.start_mark))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*location, index)) for index, item in enumerate(node.value)]
        if getattr(node, "style", None) not in ("'", '"'):
            self._report(
                node,
                location,
                f"{quoted(node.value)} is not quoted",
                "YAML would guess its type",
                "put it in quotes",
            )
        return str(node.value)

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, object]:
        result: dict[str, object] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._report(
                    key, location, "a key that is not text", "keys must be names", "use a name"
                )
                continue
            place = (*location, key.value)
            if key.value in result:
                self._report(
                    key,
                    place,
                    "written twice",
                    f"the first one is in line {self.marks[place].line}",
                    "delete one",
                )
                continue
            self.marks[place] = _mark(key.start_mark)
            result[key.value] = self.build(value, place)
        return result

    def _report(self, node: yaml.Node, location: Location, what: str, why: str, fix: str) -> None:
        self.findings.append(
            Finding(self.name, *_mark(node.start_mark), dotted(location), what, why, fix)
        )


def _mark(mark: "yaml.Mark | yaml._yaml.Mark | None") -> Mark:
    return Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1)
