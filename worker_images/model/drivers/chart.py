"""Every release and driver as one picture: a row a driver, a column for each change of gVisor's
list.
"""

from collections.abc import Iterator
from html import escape
from itertools import groupby

from worker_images.model.drivers.compat import Pinned
from worker_images.model.drivers.table import KNOWN, SUPPORTED, Release, Table

LEFT, TOP, RIGHT, FOOT, WIDE, HIGH = 118, 158, 16, 16, 24, 16
# Colours of its own on a ground of its own, so that it reads on a light page and on a dark one.
STYLE = """
svg { --ground: #ffffff; --ink: #1f2933; --faint: #6b7683; --band: #eff2f6; --yes: #1d6fb8; --maybe: #b35c00; --mark: #b3006b }
@media (prefers-color-scheme: dark) {
  svg { --ground: #14181d; --ink: #e6ebf1; --faint: #98a4b3; --band: #1e252e; --yes: #5aa9f0; --maybe: #f0a04b; --mark: #ff7ac2 }
}
text { font: 11px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: var(--ink) }
.words { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 12px }
.title { font-size: 15px; font-weight: 600 }
.faint { fill: var(--faint) }
.mark { fill: var(--mark); font-weight: 700 }
.ground { fill: var(--ground) }
.band { fill: var(--band) }
.yes { fill: var(--yes) }
.maybe { fill: url(#hatch); stroke: var(--maybe) }
.pin { fill: none; stroke: var(--mark); stroke-width: 2 }
"""
HATCH = (
    '<pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse"'
    ' patternTransform="rotate(45)"><rect width="2" height="5" fill="var(--maybe)"/></pattern>'
)


def svg(table: Table, pinned: Pinned) -> str:
    """The chart as text; the same table and pins give the same bytes."""
    columns = _columns(table)
    drivers = table.drivers[::-1]
    width, height = LEFT + len(columns) * WIDE + RIGHT, TOP + len(drivers) * HIGH + FOOT
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" role="img">'
        ),
        "<title>NVIDIA drivers that each gVisor release serves</title>",
        f"<style>{STYLE}</style><defs>{HATCH}</defs>",
        f'<rect class="ground" width="{width}" height="{height}" rx="8"/>',
        *_legend(table),
        *_grid(columns, drivers),
        *(
            part
            for place, driver in enumerate(drivers)
            for part in _row(driver, TOP + place * HIGH, columns, pinned)
        ),
        *_headings(columns, len(drivers), pinned),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _columns(table: Table) -> list[list[Release]]:
    """Releases in a row that serve and know the same."""
    return [
        list(group) for _, group in groupby(table, key=lambda each: (each.supported, each.known))
    ]


def _legend(table: Table) -> Iterator[str]:
    first, last = table.releases[0].name, table.newest
    yield _text(14, 24, "NVIDIA drivers that each gVisor release serves", "words title")
    yield _text(
        14,
        48,
        f"{len(table.releases)} releases, {first} to {last}; a column holds those that serve the"
        " same",
        "words faint",
    )
    x = 560
    yield (
        f'<rect class="yes" x="{x}" y="15" width="22" height="9"'
        f' rx="2"/>{_text(x + 30, 24, "served", "words")}'
    )
    yield (
        f'<circle cx="{x + 104}" cy="20" r="1.5"'
        f' class="faint"/>{_text(x + 114, 24, "not served", "words")}'
    )
    yield _text(x + 200, 24, "▶ fleet.drivers, and the pinned release", "words mark")
    yield f'<rect class="maybe" x="{x}" y="39.5" width="22" height="8" rx="2"/>'
    yield _text(x + 30, 48, "known: served only with --nvproxy-allow-unsupported-driver", "words")


def _grid(columns: list[list[Release]], drivers: tuple[str, ...]) -> Iterator[str]:
    """A band for every other branch of the driver, so that the eye keeps its row.

    A dot where nothing is served.
    """
    right = LEFT + len(columns) * WIDE
    bands = [
        (branch, len(list(group)))
        for branch, group in groupby(drivers, key=lambda driver: driver.split(".")[0])
    ]
    y = TOP
    for number, (branch, count) in enumerate(bands):
        if number % 2 == 0:
            yield f'<rect class="band" x="6" y="{y}" width="{right - 6}" height="{count * HIGH}"/>'
        yield _text(12, y + 12, branch, "faint")
        y += count * HIGH


def _row(driver: str, y: int, columns: list[list[Release]], pinned: Pinned) -> Iterator[str]:
    fleet = driver in pinned.fleet
    label = f"▶ {driver}" if fleet else driver
    marked = ' class="mark"' if fleet else ""
    yield (f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end"{marked}>{label}</text>')
    answers = [column[0].status(driver) for column in columns]
    for answer, group in groupby(enumerate(answers), key=lambda pair: pair[1]):
        places = [place for place, _ in group]
        x, width = LEFT + places[0] * WIDE, len(places) * WIDE
        span = f"{driver}: {columns[places[0]][0].name} to {columns[places[-1]][-1].name}"
        if answer == SUPPORTED:
            yield (
                f'<rect class="yes" x="{x + 1}" y="{y + 3}" width="{width - 2}" height="10"'
                f' rx="2"><title>{span}, served</title></rect>'
            )
        elif answer == KNOWN:
            box = f'x="{x + 1.5}" y="{y + 3.5}" width="{width - 3}" height="9" rx="2"'
            yield f'<rect class="maybe" {box}><title>{span}, known</title></rect>'
        else:
            yield "".join(
                f'<circle class="faint" cx="{LEFT + place * WIDE + WIDE // 2}" cy="{y + 8}" r="1"/>'
                for place in places
            )


def _headings(columns: list[list[Release]], rows: int, pinned: Pinned) -> Iterator[str]:
    """The first release of each column, on its side.

    The column that holds the pinned one is framed.
    """
    for place, column in enumerate(columns):
        x = LEFT + place * WIDE
        holds = pinned.release in [each.name for each in column]
        name = f"▶ {pinned.release}" if holds else column[0].name
        style = ' class="mark"' if holds else ""
        yield (
            f'<text x="0" y="0" transform="translate({x + 16} {TOP - 8})'
            f' rotate(-90)"{style}>{escape(name)}</text>'
        )
        if holds:
            yield (
                f'<rect class="pin" x="{x - 1}" y="{TOP - 3}" width="{WIDE + 2}"'
                f' height="{rows * HIGH + 6}" rx="3"/>'
            )


def _text(x: int, y: int, words: str, style: str) -> str:
    return f'<text x="{x}" y="{y}" class="{style}">{escape(words)}</text>'
