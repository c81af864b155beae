"""The order of the table of drivers."""

import json

from tests.support.drivers import TABLE
from worker_images.files import ROOT
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
