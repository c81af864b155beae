"""versions.yaml changed in place: the scalars of a change, and no other byte."""

import re
from collections.abc import Iterator, Mapping, Sequence

from worker_images.build.update.values import Change
from worker_images.errors import DriftError
from worker_images.model.document import Document, Location, dotted, parse


def edited(data: bytes, name: str, changes: Sequence[Change]) -> bytes:
    """The file with each old value replaced by the new one.

    Raises DriftError where an old value no longer stands there.
    """
    document = parse(data, name)
    before = dict(scalars(document.value))
    lines = data.decode().split("\n")
    for change in changes:
        if before.get(change.location) != change.old:
            raise DriftError(
                f"{name}: {dotted(change.location)} is no longer {change.old!r}; it was edited"
                " meanwhile; run again"
            )
        _replace(lines, document, change)
    result = "\n".join(lines).encode()
    after = dict(scalars(parse(result, name).value))
    if after != before | {change.location: change.new for change in changes}:
        raise DriftError(
            f"{name}: its layout does not let one value be changed alone; write each value on the"
            " line of its key"
        )
    return result


def _replace(lines: list[str], document: Document, change: Change) -> None:
    """Each quoted value stands on the line of its key, right behind it.

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
    """Every scalar of a document, with its place."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from scalars(item, (*location, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from scalars(item, (*location, index))
    else:
        yield location, value
