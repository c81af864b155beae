"""XML from outside as a tree: without a document type, and with bounds."""

from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree as ET
from xml.parsers import expat

# A suite of 10,000 tests whose failures each print 5 kB.
MAX_BYTES = 64 << 20
MAX_DEPTH = 32


class XmlError(ValueError):
    """A file is not XML in UTF-8, or has more than the results of tests need."""


def read(path: Path) -> ET.Element:
    """Read the root element of a file; raises OSError and XmlError."""
    return parse(read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """Read a file, up to the first byte that is too much for `parse`; raises OSError."""
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def parse(data: bytes) -> ET.Element:
    """The root element of a file with these bytes; raises XmlError."""
    if len(data) > MAX_BYTES:
        raise XmlError(f"more than {MAX_BYTES >> 20} MiB of XML")
    try:
        return _parse(data)
    except expat.ExpatError as error:
        raise XmlError(str(error)) from error


def _parse(data: bytes) -> ET.Element:
    builder, depth = ET.TreeBuilder(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise XmlError(f"elements are nested deeper than {MAX_DEPTH} levels")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    # Entities, which can expand without bounds, are declared in a document type.
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.Parse(data, True)
    return builder.close()


def _refuse(*_: object) -> NoReturn:
    raise XmlError("a document type is not allowed")
