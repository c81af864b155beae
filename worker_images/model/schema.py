"""Validation of documents by pydantic models; faults use the names and positions of the file."""

import difflib
import functools
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from worker_images.errors import DocumentError, Finding
from worker_images.model.document import Document, Location, quoted, raise_findings, read
from worker_images.model.tree import Tree

Model = TypeVar("Model", bound=BaseModel)
NOUNS: dict[type, str] = {dict: "mapping", list: "list", str: "string"}
# The hint for text that does not match a pattern.
_HINTS: dict[str, str] = {}


def pattern(regex: str, hint: str) -> str:
    """Register the hint of a pattern, and return the pattern."""
    _HINTS[regex] = hint
    return regex


class Strict(BaseModel):
    """A frozen record without unknown keys and without type conversion."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def validate(document: Document, model: type[Model]) -> Model:
    """Validate a document; raises DocumentError with every fault of its text and values."""
    try:
        result = model.model_validate(document.value)
    except ValidationError as error:
        found = [_translate(document, model, detail) for detail in error.errors(include_url=False)]
        raise DocumentError([*document.findings, *found]) from None
    raise_findings(list(document.findings))
    return result


def read_model(tree: Tree, place: Path | str, model: type[Model]) -> Model:
    """Read a file of a project or its checkout; raises DocumentError."""
    path = tree.find(place)
    return validate(read(path, tree.name(path)), model)


def _translate(document: Document, model: type[BaseModel], detail: ErrorDetails) -> Finding:
    location = _location(document, detail)
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind.startswith("union_tag"):
        location = (*location, str(context["discriminator"]).strip("'"))
    if kind == "union_tag_invalid":
        what, allowed = f"{quoted(context['tag'])} is not allowed", context["expected_tags"]
        return document.finding(location, what, f"must be one of {allowed}", "correct it")
    if kind in {"missing", "union_tag_not_found"}:
        return document.finding(location, "missing", "it has no default", "add the key")
    if kind == "extra_forbidden":
        return document.finding(
            location, "unknown key", "it is not in the schema", _suggest(location, model)
        )
    if kind == "string_pattern_mismatch":
        return document.finding(
            location,
            f"{quoted(value)} is not allowed",
            _HINTS.get(context["pattern"], "wrong format"),
            "correct it",
        )
    if kind in {"model_type", "dict_type", "list_type", "tuple_type", "string_type"}:
        return document.finding(
            location,
            f"a {NOUNS.get(type(value), 'value')}",
            detail["msg"].lower(),
            "see versions.schema.json",
        )
    return document.finding(
        location, quoted(value), detail["msg"].removeprefix("Value error, "), "correct it"
    )


def _location(document: Document, detail: ErrorDetails) -> Location:
    """The location of a fault, without pydantic's names for keys and union members."""
    parts = [part for part in detail["loc"] if part != "[key]"]
    location: Location = ()
    for number, part in enumerate(parts):
        if document.has((*location, part)) or number == len(parts) - 1:
            location = (*location, part)
    return location


def _suggest(location: Location, model: type[BaseModel]) -> str:
    known = _names(model)
    close = difflib.get_close_matches(str(location[-1]), sorted(known), n=1)
    return f"did you mean {close[0]}?" if close else "delete it"


@functools.cache
def _names(model: type[BaseModel]) -> set[str]:
    """Every field name of a model and of the models inside it."""
    schema = model.model_json_schema()
    sections = [schema, *schema.get("$defs", {}).values()]
    return {name for section in sections for name in section.get("properties", {})}
