"""Which drivers a release serves, and what a change of release does to the fleet."""

import pytest

from tests.support.drivers import PINNED, TABLE, row
from worker_images.model.drivers import compat
from worker_images.model.drivers.compat import Pinned


def test_questions_by_release_and_by_driver_agree() -> None:
    """For every release and driver of the table: what a release lists is what is found by the
    driver.
    """
    served = {each.name: compat.release(each, TABLE, PINNED).data["supported"] for each in TABLE}
    for driver in TABLE.drivers:
        found = compat.drivers([driver], row("20260622.0"), TABLE, PINNED).data["releases"]
        listed = [name for name, drivers in served.items() if driver in drivers]  # type: ignore[operator]
        assert found == listed[::-1]
        for each in TABLE:
            assert (not compat.drivers([driver], each, TABLE, PINNED).error) == (
                each.name in listed
            )


def test_what_is_refused_before_and_after_does_not_break() -> None:
    found = compat.change(row("20250407.0"), row("20250414.0"), TABLE, PINNED)
    assert (found.data["fleet_breaks"], found.data["fleet_unserved"]) == (
        [],
        ["535.129.03", "580.159.04"],
    )
    assert found.error


def test_an_allowed_driver_is_no_break() -> None:
    allowed = Pinned("20260622.0", PINNED.fleet, {"580.159.04": "drained"})
    found = compat.release(row("20260511.0"), TABLE, allowed)
    assert not found.error
    assert "every driver is served, but for 580.159.04, which may go unserved" in found.text
    assert compat.release(row("20260511.0"), TABLE, PINNED).error


@pytest.mark.parametrize(
    ("driver", "told", "step"),
    [
        ("580.159.04", "supported", ""),
        ("595.71.05", "known", "--nvproxy-allow-unsupported-driver"),
        ("580.95.05", "unknown", "(without 580.159.04 of the fleet), or install driver 580.105.08"),
    ],
)
def test_this_machine(driver: str, told: str, step: str) -> None:
    found = compat.node(driver, "a test", row("20260622.0"), TABLE, PINNED)
    assert (found.data["answer"], bool(found.error)) == (told, told != "supported")
    assert step in str(found.data["next"])
