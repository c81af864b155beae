"""The versions.yaml of a project on that of its checkout."""

from dataclasses import replace
from pathlib import Path

from worker_images.model.document import Document, Location, read
from worker_images.model.tree import VERSIONS, Tree

# A section that is one value: the drivers of a fleet and its exceptions.
WHOLE = {"fleet"}


def open_pins(path: Path, tree: Tree, name: str = "") -> Document:
    """Read the pins of a project on those of its checkout, without validation of values."""
    document = read(path, name or tree.name(path))
    if tree.stands_alone:
        return document
    below = tree.checkout / VERSIONS
    return stacked(document, read(below, tree.name(below)))


def stacked(own: Document, below: Document) -> Document:
    """A document on another one: each section has the keys of both, with the values of the first.

    A value of a section, such as a component's pin, is never joined from both.
    """
    assert isinstance(own.value, dict)
    assert isinstance(below.value, dict)
    value = {**below.value, **own.value}
    replaced: set[Location] = {(key,) for key in own.value}
    for key, mine in own.value.items():
        others = below.value.get(key)
        if isinstance(mine, dict) and isinstance(others, dict) and key not in WHOLE:
            value[key] = {**others, **mine}
            replaced |= {(key, name) for name in mine}
            replaced.remove((key,))
    marks = {
        place: mark
        for place, mark in below.marks.items()
        if not replaced.intersection((place[:1], place[:2]))
    }
    findings = (*own.findings, *below.findings)
    return replace(own, value=value, findings=findings, below=replace(below, marks=marks))
