"""Queries of the driver table: by driver, by release, for a change of release and for nodes."""

import pytest

from tests.support.drivers import PINNED, TABLE, row
from worker_images.model.drivers import compat
from worker_images.model.drivers.compat import Pinned
from worker_images.model.drivers.kernel import Machine


def test_queries_by_release_and_by_driver_agree_for_the_whole_table() -> None:
    """A release lists a driver exactly if the driver's query finds the release."""
    served = {each.name: compat.release(each, TABLE, PINNED).data["supported"] for each in TABLE}
    for driver in TABLE.drivers:
        found = compat.drivers([driver], row("20260622.0"), TABLE, PINNED).data["releases"]
        listed = [name for name, drivers in served.items() if driver in drivers]  # type: ignore[operator]
        assert found == listed[::-1]
        for each in TABLE:
            assert (not compat.drivers([driver], each, TABLE, PINNED).error) == (
                each.name in listed
            )


def test_driver_does_not_break_if_unserved_before_and_after() -> None:
    found = compat.change(row("20250407.0"), row("20250414.0"), TABLE, PINNED)
    assert (found.data["fleet_breaks"], found.data["fleet_unserved"]) == (
        [],
        ["535.129.03", "580.159.04"],
    )
    assert found.error


def test_driver_may_be_unserved_if_allowed() -> None:
    allowed = Pinned("20260622.0", PINNED.fleet, {"580.159.04": "drained"})
    found = compat.release(row("20260511.0"), TABLE, allowed)
    assert not found.error
    assert "every driver is served, except 580.159.04, which may be unserved" in found.text
    assert compat.release(row("20260511.0"), TABLE, PINNED).error


@pytest.mark.parametrize(
    ("driver", "status", "step"),
    [
        ("580.159.04", "supported", ""),
        ("595.71.05", "known", "--nvproxy-allow-unsupported-driver"),
        (
            "580.95.05",
            "unknown",
            "(which does not serve 580.159.04 of the fleet), or install driver 580.105.08",
        ),
    ],
)
def test_machine_gets_status_and_next_step(driver: str, status: str, step: str) -> None:
    found = compat.node(Machine(driver, "a test"), row("20260622.0"), TABLE, PINNED)
    assert (found.data["answer"], bool(found.error)) == (status, status != "supported")
    assert step in str(found.data["next"])


def test_drivers_of_one_question_get_a_release_that_serves_all() -> None:
    names = ["550.54.15", "535.104.05"]
    found = compat.drivers(names, row("20260622.0"), TABLE, PINNED)
    steps = found.data["next"]
    assert isinstance(steps, dict)
    for step in steps.values():
        assert step.startswith("set gvisor.version to 20240513.0 ")
    assert compat.drivers(names, row("20240513.0"), TABLE, PINNED).error == ""
    assert "; for 550.54.15: set gvisor.version" in found.error


def test_drivers_without_a_common_release_get_one_that_names_the_other() -> None:
    names = ["550.54.15", "610.57.04"]
    found = compat.drivers(names, row("20260622.0"), TABLE, PINNED)
    assert "(which does not serve 610.57.04) (which does not serve" in str(found.data["next"])
