"""Renders the checklist's results as text, JSON and one HTML page."""

import html as markup
import json
import string
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from worker_images.model.layers import LAYERS
from worker_images.model.results import FAILED, MARKS, OUTCOMES, PASSED
from worker_images.node.verify.checklist import Checklist, Entry

PAGE = Path(__file__).parent / "checklist.html"
NOT_SELECTED = "not selected"
QUESTIONS = {layer.name: layer.question for layer in LAYERS}
AS_ABOVE = ["    reason  as above"]
WIDTH, MAX_CHARACTERS = 58, 300


def text(checklist: Checklist) -> str:
    """Return one line for each row, the reason below a row that did not pass, and the summary."""
    lines: list[str] = []
    before: list[str] = []
    for entry in checklist.entries:
        why = _why(entry)
        lines.append(_line(entry))
        lines += AS_ABOVE if why and why == before else why
        before = why
    return "\n".join([*lines, "", *_missing(checklist), checklist.summary])


def _missing(checklist: Checklist) -> list[str]:
    """List the suites that could not run, because rows may have passed without them."""
    return [f"not run: {why}" for why in checklist.missing.values()]


def _line(entry: Entry) -> str:
    row = entry.row
    result = entry.result
    where = f"{row.layer:9}{row.check:{WIDTH}}"
    if not entry.selected:
        return f"· {where} {NOT_SELECTED}: {result.step}"
    seen = shorten(result.seen or result.outcome)
    return f"{MARKS[result.outcome]} {where} {seen}"


def _why(entry: Entry) -> list[str]:
    """Return the reason and the next step of a selected row that did not pass."""
    result = entry.result
    if not entry.selected or result.outcome == PASSED:
        return []
    lines = []
    if result.reason:
        lines.append(f"    reason  {shorten(result.reason)}")
    if result.step:
        lines.append(f"    next    {shorten(result.step)}")
    return lines


def shorten(text: str) -> str:
    """Return a text as one line of limited length."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_CHARACTERS else f"{line[:MAX_CHARACTERS]}…"


def as_json(checklist: Checklist) -> str:
    """Return the checklist as JSON: each row with its result."""
    rows = [
        asdict(entry.row) | asdict(entry.result) | {"selected": entry.selected}
        for entry in checklist.entries
    ]
    document = {
        "summary": checklist.summary,
        "passed": checklist.passed,
        "image": checklist.image,
        "counts": dict(checklist.counts),
        "not_run": dict(checklist.missing),
        "rows": rows,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def html(checklist: Checklist) -> str:
    """Return one page that shows the requirements' check of each row beside ours."""
    # Python 3.10 has no datetime.UTC.
    at = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%MZ")  # noqa: UP017
    layers = dict.fromkeys(entry.row.layer for entry in checklist.entries)
    return string.Template(PAGE.read_text(encoding="utf-8")).substitute(
        summary=markup.escape(checklist.summary),
        style=PASSED if checklist.passed else FAILED,
        missing="".join(f"<p>{markup.escape(line)}</p>" for line in _missing(checklist)),
        layers="".join(_layer(checklist, name) for name in layers),
        image=markup.escape(checklist.image or "none"),
        at=at,
    )


def _layer(checklist: Checklist, name: str) -> str:
    entries = [entry for entry in checklist.entries if entry.row.layer == name]
    question = markup.escape(QUESTIONS[name])
    sections = "\n".join(map(_section, entries))
    return (
        f"<h2>{name} {_pills(entries)}</h2>\n<p>{question}</p>\n<div class=sheet>{sections}</div>\n"
    )


def _pills(entries: list[Entry]) -> str:
    counts = Counter(map(_state, entries))
    states = [state for state in (*OUTCOMES, NOT_SELECTED) if counts[state]]
    return " ".join(_pill(f"{counts[state]} {state}", state) for state in states)


def _state(entry: Entry) -> str:
    return entry.result.outcome if entry.selected else NOT_SELECTED


def _section(entry: Entry) -> str:
    theirs, ours = "".join(_requirement(entry)), "".join(_ours(entry))
    return (
        f'<section><div class="requirement">{theirs}</div><div class="ours">{ours}</div></section>'
    )


def _requirement(entry: Entry) -> Iterator[str]:
    row = entry.row
    label = (
        "not in the requirements"
        if row.assessment == "absent"
        else f"requirements: {row.assessment}"
    )
    yield f"<h3>{_pill(label, row.assessment)}</h3>"
    yield _code(row.requirement)
    yield f"<p>{markup.escape(row.why)}</p><small>{markup.escape(row.section)}</small>"


def _ours(entry: Entry) -> Iterator[str]:
    row, result = entry.row, entry.result
    state = _state(entry)
    yield f"<h3>{_pill(f'{MARKS[result.outcome]} {state}', state)} {markup.escape(row.check)}</h3>"
    terms = {
        "found": result.seen,
        "expected": row.expected,
        "reason": result.reason,
        "next": result.step,
    }
    yield f"<dl>{''.join(_term(name, text) for name, text in terms.items() if text)}</dl>"
    tests = _code("\n".join(row.tests))
    yield f"<details><summary>the tests</summary>{tests}</details>"


def _term(name: str, text: str) -> str:
    return f"<dt>{name}</dt><dd>{markup.escape(text)}</dd>"


def _pill(text: str, style: str) -> str:
    return f'<b class="pill {style.replace(" ", "-")}">{markup.escape(text)}</b>'


def _code(text: str) -> str:
    return f"<pre>{markup.escape(text)}</pre>" if text else ""
