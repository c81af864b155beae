"""The report on the images in out/ and their checks, as a table, as JSON and as an HTML page."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import jinja2

from worker_images.model.layers import LAYERS
from worker_images.model.project import Project
from worker_images.model.results import ALL, FAILED, NOT_RUN, Check
from worker_images.report import built, fleet, results
from worker_images.report.built import Built
from worker_images.report.fleet import Drivers
from worker_images.report.results import Row


@dataclass(frozen=True)
class Report:
    """The images, all checks, and the verdict that follows from them."""

    usable: bool
    verdict: str
    counts: str
    images: tuple[Built, ...]
    rows: tuple[Row, ...]
    checks: tuple[Check, ...]
    drivers: Drivers


def read(project: Project) -> Report:
    """Read the results in out/; raises ImageBuildError and ImageError."""
    root, known = project.root, project.catalog.variants
    variants = sorted(project.catalog.own, key=lambda name: len(known[name].components))
    layers = [each for each in LAYERS if each.of_projects or project.stands_alone]
    runs = results.runs(root, variants)
    checks = tuple(check for run in runs.values() for check in run.checks)

    def image(name: str) -> Built:
        return built.read(root, name, known[name], runs.get(f"out/{name}/image.xml"), checks)

    # Each image is unpacked, which takes most of the time.
    with ThreadPoolExecutor() as pool:
        images = tuple(pool.map(image, variants))
    rows = results.rows(runs, variants, layers)
    return Report(
        usable=not any(image.refused for image in images),
        verdict=_verdict(images),
        counts=_counts(rows),
        images=images,
        rows=rows,
        checks=checks,
        drivers=fleet.of_project(project),
    )


def text(report: Report) -> str:
    """Return the table of layers, the checks that did not pass, and the verdict."""
    lines = [
        f"{'layer':9} {'variant':8} {'passed':>7} {'failed':>7} {'not run':>8}",
        *map(_line, report.rows),
        *_failed(report.checks),
        *_not_run(report.checks),
        report.counts,
        report.verdict,
    ]
    return "\n".join(lines)


def _line(row: Row) -> str:
    cells = [f"{row.layer.name:9}", f"{row.variant:8}"]
    if row.at:
        cells.append(f"{row.passed:>7}")
        cells.append(f"{row.failed:>7}")
        cells.append(f"{row.not_run:>8}")
    else:
        cells += ["      -", "      -"]
        cells.append(f"all; run: {row.layer.command}")
    return " ".join(cells)


def _failed(checks: tuple[Check, ...]) -> Iterator[str]:
    for check in checks:
        if check.result.outcome == FAILED:
            yield f"failed: {check.identity} ({check.variant}): {_brief(check)}"


def _not_run(checks: tuple[Check, ...]) -> Iterator[str]:
    reasons = Counter(
        (check.layer, check.variant, _brief(check))
        for check in checks
        if check.result.outcome == NOT_RUN
    )
    for (layer, variant, reason), count in reasons.items():
        noun = "check" if count == 1 else "checks"
        yield f"not run: {count} {noun} of {layer} ({variant}): {reason}"


def _brief(check: Check) -> str:
    return " ".join(check.result.reason.split())[:160]


def as_json(report: Report) -> str:
    """Return the report as JSON, with everything that the page shows."""
    checks = [
        asdict(check) | {"layer": check.layer, "parameter": check.parameter}
        for check in report.checks
    ]
    return json.dumps(asdict(report) | {"checks": checks}, indent=1) + "\n"


def page(report: Report) -> str:
    """Return the report as one HTML page that needs no other file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.j2")
    return template.render(report=report, layers=LAYERS, ALL=ALL)


def _verdict(images: tuple[Built, ...]) -> str:
    refused = [f"worker:{image.variant} ({image.refused})" for image in images if image.refused]
    usable = [f"worker:{image.variant}" for image in images if not image.refused]
    parts = ["Yes:"]
    if refused:
        parts = [f"No: do not use {' or '.join(refused)}."]
    if usable:
        parts.append(f"{' and '.join(usable)} may be used.")
    return " ".join(parts)


def _counts(rows: tuple[Row, ...]) -> str:
    passed = sum(row.passed for row in rows)
    failed = sum(row.failed for row in rows)
    not_run = sum(row.not_run for row in rows)
    counts = f"{passed} checks passed, {failed} failed, {not_run} did not run"
    never = [_name(row) for row in rows if not row.at]
    if never:
        counts += f"; never run: {', '.join(never)}"
    return f"{counts}."


def _name(row: Row) -> str:
    if row.variant == ALL:
        return row.layer.name
    return f"{row.layer.name} of {row.variant}"
