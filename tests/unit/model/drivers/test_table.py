"""The order of the table of drivers."""

import json
from pathlib import Path

import pytest

from tests.support.drivers import TABLE
from worker_images.files import ROOT
from worker_images.model import pins
from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS


def test_committed_table_is_sorted_and_has_no_duplicates() -> None:
    written = json.loads((ROOT / DRIVERS).read_text())["releases"]
    assert list(written) == [each.name for each in TABLE]
    for each in TABLE:
        assert written[each.name] == {"supported": list(each.supported), "known": list(each.known)}
        assert len({*each.supported, *each.known}) == len(each.supported) + len(each.known)


def test_versions_are_sorted_by_number() -> None:
    assert table.ordered(["20260209.10", "20260209.2", "20251201.0"]) == (
        "20251201.0",
        "20260209.2",
        "20260209.10",
    )


def test_missing_third_part_is_00() -> None:
    assert TABLE.serving("615.62") == TABLE.serving("615.62.00") != ()
    assert TABLE.serving("615.6") == ()
    assert [span.first for span in TABLE.spans("615.62")] == [TABLE.releases[0].name, TABLE.newest]


def test_driver_that_is_not_published_for_an_architecture_is_marked() -> None:
    assert TABLE.exists("580.126.20", "amd64")
    assert not TABLE.exists("580.126.20", "arm64")
    assert not TABLE.exists("620.06", "amd64")
    assert TABLE.exists("620.06", "arm64")
    assert TABLE.exists("580.126.20", "")
    marked = {driver for drivers in TABLE.not_built_for.values() for driver in drivers}
    assert marked <= set(TABLE.drivers)


@pytest.mark.parametrize(
    ("text", "fleet"),
    [
        ('a: 1\nfleet:\n  drivers: ["535.1", "580.1"]\n', ("535.1", "580.1")),
        (
            'fleet:  # ours\n  # why\n\n  drivers: [\n    "535.1",\n    "580.1"\n  ]\n',
            ("535.1", "580.1"),
        ),
        (
            'fleet:\n  allow_unserved: [{driver: "5.1", reason: "x"}]\n  drivers: ["5.1", "8.1"]\n',
            ("8.1",),
        ),
        ('other:\n  drivers: ["535.1"]\nfleet: {}\n', ()),
        ("", ()),
    ],
)
def test_fleet_is_read_beside_the_table(text: str, fleet: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / DRIVERS).parent.mkdir(parents=True)
    (tmp_path / DRIVERS).write_text((ROOT / DRIVERS).read_text())
    assert table.read(tmp_path / DRIVERS).fleet == ()
    (tmp_path / "versions.yaml").write_text(text)
    assert table.read(tmp_path / DRIVERS).fleet == fleet
    assert table.read(ROOT / DRIVERS, tmp_path / "versions.yaml").fleet == fleet


def test_fleet_of_the_table_is_that_of_the_pins() -> None:
    pinned, _ = pins.load(ROOT / "versions.yaml")
    assert TABLE.fleet == pinned.fleet.drivers
