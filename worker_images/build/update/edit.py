"""Edit versions.yaml in place: replace single scalars and keep every other byte."""

import re
from collections.abc import Iterator, Mapping, Sequence

from worker_images.build.update.values import Change
from worker_images.errors import DriftError, UsageError
from worker_images.model.document import Document, Location, dotted, parse


def edited(data: bytes, name: str, changes: Sequence[Change]) -> bytes:
    """Return the file with each old value replaced by the new one.

    Raises DriftError if the file has another value than the old one, and UsageError for the file of
    a project whose checkout has the pin.
    """
    document = parse(data, name)
    missing = {each.location[:2] for each in changes} - document.marks.keys()
    if missing:
        raise UsageError(
            f"{name}: no {', '.join(sorted(map(dotted, missing)))}, which the checkout pins; take"
            " the next version of the checkout, or add a pin of your own first: docs/projects.md"
        )
    before = dict(scalars(document.value))
    lines = data.decode().split("\n")
    for change in changes:
        if before.get(change.location) != change.old:
            raise DriftError(
                f"{name}: {dotted(change.location)} is no longer {change.old!r}; the file"
                " was edited meanwhile; run again"
            )
        _replace(lines, document, change)
    result = "\n".join(lines).encode()
    after = dict(scalars(parse(result, name).value))
    if after != before | {change.location: change.new for change in changes}:
        raise DriftError(
            f"{name}: cannot change one value without others; write each value on the line of its"
            " key"
        )
    return result


def _replace(lines: list[str], document: Document, change: Change) -> None:
    """Replace the quoted value that follows its key on the same line.

    An item of a list has no key.
    """
    mark = document.marks[change.location]
    line = lines[mark.line - 1]
    head, tail = line[: mark.column - 1], line[mark.column - 1 :]
    name = change.location[-1]
    key = rf"(?:[\"']?{re.escape(name)}[\"']?\s*:\s*)" if isinstance(name, str) else ""
    match = re.match(rf"({key})([\"']){re.escape(change.old)}\2", tail)
    if match:
        lines[mark.line - 1] = (
            f"{head}{match[1]}{match[2]}{change.new}{match[2]}{tail[match.end() :]}"
        )


def scalars(value: object, location: Location = ()) -> Iterator[tuple[Location, object]]:
    """Yield every scalar of a document with its location."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from scalars(item, (*location, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from scalars(item, (*location, index))
    else:
        yield location, value
