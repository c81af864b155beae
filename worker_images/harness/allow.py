"""The allow file of a derived image: what its owner accepts, why, and until when."""

import fnmatch
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from worker_images.harness.dangers import RULES
from worker_images.harness.derived import Fault
from worker_images.model.document import read
from worker_images.model.exceptions import Excepted, Line
from worker_images.model.schema import Strict, pattern, validate

NAMES = (*RULES, "secret")
RULE = pattern(f"^({'|'.join(NAMES)})$", f"a rule is one of {', '.join(NAMES)}")


class Entry(Excepted):
    """One exception: a path or a pattern as in a shell, whose * also matches slashes."""

    path: Line
    rule: Annotated[str, StringConstraints(pattern=RULE)]

    def matches(self, fault: Fault) -> bool:
        """Whether the entry is about a fault, on any day."""
        is_path = self.path == fault.path or fnmatch.fnmatchcase(fault.path, self.path)
        return is_path and self.rule == fault.rule


class File(Strict):
    """The entries of an allow file."""

    allow: Annotated[tuple[Entry, ...], Field(strict=False, min_length=1)]


@dataclass
class Allowed:
    """The entries that apply on a day, and what they have allowed so far."""

    entries: tuple[Entry, ...] = ()
    expired: tuple[Entry, ...] = ()
    used: dict[int, list[str]] = field(default_factory=dict)

    def refused(self, faults: Iterable[Fault]) -> list[Fault]:
        """The faults that no entry allows; the others are recorded."""
        return [fault for fault in faults if not self._allows(fault)]

    def _allows(self, fault: Fault) -> bool:
        for number, entry in enumerate(self.entries):
            if entry.matches(fault):
                paths = self.used.setdefault(number, [])
                paths += [fault.path] if fault.path not in paths else []
                return True
        return False

    def as_data(self) -> list[dict[str, object]]:
        """The entries that allowed something, with the paths that they allowed."""
        return [
            self.entries[number].model_dump() | {"paths": sorted(paths)}
            for number, paths in sorted(self.used.items())
        ]

    def lines(self) -> Iterator[str]:
        """A line for each entry: what it allowed, or that it expired or is not needed."""
        for number, entry in enumerate(self.entries):
            paths = sorted(self.used.get(number, ()))
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            shown = f"allowed: {paths[0]}{more}" if paths else f"not needed: {entry.path}"
            yield f"{shown} ({entry.rule}), until {entry.expires}: {entry.reason}"
        for entry in self.expired:
            yield f"expired on {entry.expires}: {entry.path} ({entry.rule}): {entry.reason}"


def load(path: Path, today: date) -> Allowed:
    """Read an allow file; raises DocumentError."""
    entries = validate(read(path), File).allow
    expired = tuple(each for each in entries if each.has_expired(today))
    return Allowed(tuple(each for each in entries if each not in expired), expired)
