"""What a run of the checklist came to: as text, JSON and a page."""

import html as markup
import json
import string
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from worker_images.node.place import Answer
from worker_images.node.verify.rows import ABSENT, FAILED, NOT_ASKED, NOT_RUN, PASSED, Result

MARKS = {PASSED: "✓", FAILED: "✗", NOT_RUN: "○", NOT_ASKED: "·"}
LAYERS = {
    "static": "Is the committed text pinned?",
    "image": "Does the image hold a runsc that serves the nodes?",
    "pod": "Does the worker have the GPU, and may it make sandboxes?",
    "workload": "Does CUDA work in a sandbox as it does on the node?",
}
PAGE = Path(__file__).parent / "page.html"
WIDTH, LINES, CHARACTERS = 58, 3, 300


@dataclass(frozen=True)
class Report:
    """All results, of which image."""

    results: tuple[Result, ...]
    image: str

    @property
    def counts(self) -> Counter[str]:
        """Results by state."""
        return Counter(result.finding.state for result in self.results)

    @property
    def well(self) -> bool:
        """Whether something was asked, and every row that was asked passed."""
        return bool(self.counts[PASSED]) and not self.counts[FAILED] and not self.counts[NOT_RUN]

    @property
    def verdict(self) -> str:
        """The answer in one line."""
        counts = self.counts
        asked = sum(counts.values()) - counts[NOT_ASKED]
        others = "".join(
            f", {counts[state]} {state}" for state in (FAILED, NOT_RUN) if counts[state]
        )
        more = f"; {counts[NOT_ASKED]} were not asked" if counts[NOT_ASKED] else ""
        return (
            f"{'Yes' if self.well else 'No'}: of {asked} checks asked {counts[PASSED]}"
            f" passed{others}{more}."
        )


def text(report: Report) -> str:
    """A line a row, below it why where it did not pass, and the verdict."""
    before = (None, *report.results)
    # One longer.
    lines = (line for result, last in zip(report.results, before) for line in _lines(result, last))  # noqa: B905
    return "\n".join(lines) + f"\n\n{report.verdict}"


def _lines(result: Result, last: Result | None) -> Iterator[str]:
    row, finding = result.row, result.finding
    seen = f"not asked: {finding.step}" if finding.state == NOT_ASKED else short(finding.found)
    yield f"{MARKS[finding.state]} {row.layer:9}{row.check:{WIDTH}} {seen}".rstrip()
    if finding.state in {FAILED, NOT_RUN}:
        same = last and (last.finding.cause, last.finding.step) == (finding.cause, finding.step)
        yield from (
            ("    cause   as above",)
            if same
            else (f"    cause   {finding.cause}", f"    next    {finding.step}")
        )
    if result.misleads and result.said:
        yield f"    note    said {'yes' if result.said.status == 0 else 'no'} here: {row.own}"


def short(words: str) -> str:
    """Words in one line that is not too long."""
    line = " ".join(words.split())
    return line if len(line) <= CHARACTERS else f"{line[:CHARACTERS]}…"


def first_lines(said: Answer) -> str:
    """What a command said, as far as a reader wants it."""
    lines = [line.rstrip() for line in f"{said.output}\n{said.errors}".splitlines() if line.strip()]
    return "\n".join(line[:CHARACTERS] for line in lines[:LINES]) + (
        "\n…" if len(lines) > LINES else ""
    )


def as_json(report: Report) -> str:
    """The same for machines."""
    made = {
        "verdict": report.verdict,
        "well": report.well,
        "image": report.image,
        "counts": dict(report.counts),
    }
    return (
        json.dumps(
            made | {"rows": [_row(result) for result in report.results]},
            indent=1,
            ensure_ascii=False,
        )
        + "\n"
    )


def _row(result: Result) -> dict[str, Any]:
    row, finding, said = result.row, result.finding, result.said
    note = {"section": row.section, "command": row.note, "worth": row.worth, "reason": row.reason}
    answered = {"status": said.status, "said": first_lines(said)} if said else None
    ours = {"check": row.check, "command": row.command, "expected": row.expected}
    came = {
        "state": finding.state,
        "found": finding.found,
        "cause": finding.cause,
        "step": finding.step,
    }
    return {
        "layer": row.layer,
        "note": note | {"here": answered, "misleads": result.misleads},
        **ours,
        **came,
    }


def html(report: Report) -> str:
    """One page: for each row the note's check and what it said, beside ours."""
    layers = "".join(_layer(report, name) for name in LAYERS)
    # Python 3.10 has no datetime.UTC.
    at = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%MZ")  # noqa: UP017
    values = {
        "verdict": markup.escape(report.verdict),
        "style": PASSED if report.well else FAILED,
        "layers": layers,
    }
    return string.Template(PAGE.read_text()).substitute(
        values, image=markup.escape(report.image or "none"), at=at
    )


def _layer(report: Report, name: str) -> str:
    results = [result for result in report.results if result.row.layer == name]
    counts = Counter(result.finding.state for result in results)
    pills = " ".join(_pill(f"{counts[state]} {state}", state) for state in MARKS if counts[state])
    rows = "".join(_section(result) for result in results)
    return (
        f"<h2>{name} {pills}</h2>\n<p>{markup.escape(LAYERS[name])}</p>\n<div"
        f" class=sheet>{rows}</div>\n"
    )


def _pill(words: str, style: str) -> str:
    return f'<b class="pill {style.replace(" ", "-")}">{markup.escape(words)}</b>'


def _section(result: Result) -> str:
    return (
        f'<section><div class="note">{_note(result)}</div><div'
        f' class="ours">{_ours(result)}</div></section>\n'
    )


def _note(result: Result) -> str:
    row, said = result.row, result.said
    words = {"label": "the note does not ask" if row.worth == ABSENT else f"the note: {row.worth}"}
    parts = [
        f"<h3>{_pill(words['label'], row.worth)}</h3>",
        _code(row.note),
        f"<p>{markup.escape(row.reason)}</p>",
    ]
    parts.append(f"<small>{markup.escape(row.section)}</small>")
    if said:
        opened, warning = (
            (" open", " <b class=failed>and misleads</b>") if result.misleads else ("", "")
        )
        parts.append(
            f"<details{opened}><summary>here: status"
            f" {said.status}{warning}</summary>{_code(first_lines(said))}</details>"
        )
    return "".join(parts)


def _ours(result: Result) -> str:
    row, finding = result.row, result.finding
    mark = _pill(f"{MARKS[finding.state]} {finding.state}", finding.state)
    parts = [f"<h3>{mark} {markup.escape(row.check)}</h3>"]
    rows = {
        "found": finding.found,
        "expected": row.expected,
        "cause": finding.cause,
        "next": finding.step,
    }
    terms = "".join(
        f"<dt>{name}</dt><dd>{markup.escape(value)}</dd>" for name, value in rows.items() if value
    )
    parts.append(f"<dl>{terms}</dl>")
    if row.command:
        parts.append(f"<details><summary>the command</summary>{_code(row.command)}</details>")
    return "".join(parts)


def _code(words: str) -> str:
    return f"<pre>{markup.escape(words)}</pre>" if words else ""
