"""What is known of the images, from what builds and checks left in out/: a table, JSON, one
page.
"""

import itertools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2

from worker_images.harness import expect
from worker_images.harness.collection import HERE
from worker_images.model import catalog, pins
from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS, Release, Table, ordered
from worker_images.model.oci.outline import Outline, outline
from worker_images.report import results
from worker_images.report.results import ALL, Check, Row, Run


@dataclass(frozen=True)
class Built:
    """A variant: its budget, its image's layers (component, diffID, bytes), its record, and why not
    to use it.

    Sizes are unpacked bytes, except for the download.
    """

    variant: str
    purpose: str
    budget: int
    image_id: str
    layers: tuple[tuple[str, str, int], ...]
    size: int
    download: int
    record: Mapping[str, Any]
    refused: str


@dataclass(frozen=True)
class Span:
    """Neighbouring releases that treat a driver alike; `begin` counts from the first release."""

    served: bool
    first: str
    last: str
    begin: int
    count: int


@dataclass(frozen=True)
class Drivers:
    """What the pinned gVisor release serves, what it knows or the fleet runs and it refuses, the
    fleet through all releases.
    """

    release: str
    releases: tuple[str, ...]
    served: tuple[str, ...]
    refused: tuple[str, ...]
    fleet: Mapping[str, tuple[Span, ...]]


@dataclass(frozen=True)
class Report:
    """All that is known, and what follows from it."""

    usable: bool
    verdict: str
    counts: str
    images: tuple[Built, ...]
    rows: tuple[Row, ...]
    checks: tuple[Check, ...]
    drivers: Drivers


def read(root: Path) -> Report:
    """Read what lies in out/ and images/; raises ImageBuildError and ImageError."""
    known = catalog.load(root).variants
    variants = sorted(known, key=lambda name: len(known[name].components))
    runs = results.runs(root, variants)
    checks = tuple(check for run in runs.values() for check in run.checks)
    images = tuple(
        _built(root, name, known[name], runs.get(f"out/{name}/judge.xml"), checks)
        for name in variants
    )
    rows = results.rows(runs, variants)
    return Report(
        not any(image.refused for image in images),
        _verdict(images),
        _counts(rows),
        images,
        rows,
        checks,
        _drivers(root),
    )


def text(report: Report) -> str:
    """The table variant by layer, what did not pass and why, and the verdict."""
    lines = [f"{'layer':8} {'variant':8} {'passed':>7} {'failed':>7} {'not run':>8}"]
    for row in report.rows:
        counts = (
            (row.passed, row.failed, row.not_run)
            if row.at
            else ("-", "-", f"all; run: {row.layer.command}")
        )
        lines.append(
            f"{row.layer.name:8} {row.variant:8} {counts[0]:>7} {counts[1]:>7} {counts[2]:>8}"
        )
    failed = (check for check in report.checks if check.outcome == "failed")
    lines += [f"failed: {check.identity} ({check.variant}): {_brief(check)}" for check in failed]
    reasons = Counter(
        (check.layer, check.variant, _brief(check))
        for check in report.checks
        if check.outcome == "not run"
    )
    for (layer, variant, reason), count in reasons.items():
        lines.append(
            f"not run: {count} {'check' if count == 1 else 'checks'} of {layer} ({variant}):"
            f" {reason}"
        )
    return "\n".join([*lines, report.counts, report.verdict])


def _brief(check: Check) -> str:
    return " ".join(check.message.split())[:160]


def as_json(report: Report) -> str:
    """The same for machines, and all that the page shows."""
    return json.dumps(asdict(report), indent=1) + "\n"


def page(report: Report) -> str:
    """One HTML page that needs nothing beside it."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        report=report, layers=results.LAYERS, ALL=ALL
    )


def _built(
    root: Path, name: str, variant: catalog.Variant, run: Run | None, checks: tuple[Check, ...]
) -> Built:
    folder = root / "out" / name
    built = (folder / "image.tar").exists() and (folder / "build.json").exists()
    found = outline(folder / "image.tar") if built else Outline("", (), 0)
    layers = found.layers
    record = json.loads((folder / "build.json").read_text()) if built else {}
    # The components are the last layers; what is below them is the base.
    names = ("base",) * (len(layers) - len(variant.components)) + variant.components
    failed = sum(check.outcome == "failed" and check.variant in {name, ALL} for check in checks)
    newer = " in a newer build" if built and run and run.image_id != found.image_id else ""
    reasons = {
        f"{failed} {'check' if failed == 1 else 'checks'} failed{newer}": failed,
        f"it was not built; run: make {name}": not built,
        "it was not judged; run: make test-images": (
            not run or {run.image_id, record.get("image_id")} != {found.image_id}
        ),
    }
    refused = next((reason for reason, holds in reasons.items() if holds), "")
    parts = tuple((part, *layer) for part, layer in zip(names, layers, strict=False))
    budget = round(float(expect.variant(root, name).megabytes[HERE]) * 1e6)
    return Built(
        name,
        variant.purpose,
        budget,
        found.image_id,
        parts,
        sum(size for _, _, size in parts),
        found.download,
        record,
        refused,
    )


def _verdict(images: tuple[Built, ...]) -> str:
    refused = " or ".join(
        f"worker:{image.variant} ({image.refused})" for image in images if image.refused
    )
    usable = " and ".join(f"worker:{image.variant}" for image in images if not image.refused)
    return " ".join(
        [
            *([f"No: do not use {refused}."] if refused else ["Yes:"]),
            *([f"{usable} may be used."] if usable else []),
        ]
    )


def _counts(rows: tuple[Row, ...]) -> str:
    never = [
        row.layer.name if row.variant == ALL else f"{row.layer.name} of {row.variant}"
        for row in rows
        if not row.at
    ]
    passed, failed, not_run = (
        sum(counts)
        for counts in zip(*((row.passed, row.failed, row.not_run) for row in rows), strict=True)
    )
    return f"{passed} checks passed, {failed} failed, {not_run} did not run" + (
        f"; never run: {', '.join(never)}." if never else "."
    )


def _drivers(root: Path) -> Drivers:
    pinned = pins.load(root / "versions.yaml")[0]
    release, fleet = pinned.components["gvisor"].version, pinned.fleet.drivers
    found = table.read(root / DRIVERS)
    row = found.get(release)
    # One that nobody wrote down serves nothing, as far as is known.
    known = found if row else Table((*found, Release(release, ())))
    served = row.supported if row else ()
    refused = ordered({*(row.known if row else ()), *fleet} - {*served})

    def spans(driver: str) -> tuple[Span, ...]:
        groups = itertools.groupby(enumerate(known), key=lambda pair: driver in pair[1].supported)
        runs = [(each, list(group)) for each, group in groups]
        return tuple(
            Span(each, run[0][1].name, run[-1][1].name, run[0][0], len(run)) for each, run in runs
        )

    return Drivers(
        release,
        tuple(each.name for each in known),
        served,
        refused,
        {driver: spans(driver) for driver in fleet},
    )
