"""Verdicts on newer gVisor commits; each fault has a control."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from worker_images.build.update import contract
from worker_images.build.update.proposals import UPSTREAM, current, proposals
from worker_images.build.update.values import (
    Facts,
    Offer,
    Policy,
    Proposal,
    Verdict,
    date_of,
)
from worker_images.files import ROOT
from worker_images.model.drivers.table import COMPONENT, DRIVERS, Release, ordered, read
from worker_images.model.pins import Pins, load

TODAY = date(2026, 11, 24)
COMMIT, COMMITTED = "v0.0.0-20260820120000-0123456789ab", datetime(2026, 8, 20, 12, tzinfo=UTC)
GOLDEN = ROOT / "tests/unit/golden/versions.yaml"


@pytest.fixture(scope="module")
def old_pins() -> Pins:
    """Pins that no version bump changes."""
    return load(GOLDEN)[0]


@pytest.fixture(scope="module")
def facts() -> Facts:
    return Facts.read(ROOT, read(ROOT / DRIVERS))


def propose(
    old_pins: Pins, facts: Facts, *offers: Offer, cool_down: int = 7, today: date = TODAY
) -> list[Proposal]:
    return list(proposals(old_pins, offers, facts, Policy(today, cool_down)))


def commit(facts: Facts, *, without: str = "", more: str = "", **changes: object) -> Offer:
    """Return a commit with the drivers of a release, but for one."""
    release = facts.releases.get("20260817.0")
    assert release
    supported = (set(release.supported) - {without}) | ({more} if more else set())
    drivers = Release(COMMIT, ordered(supported))
    matched = "" if without or more else "20260817.0"
    offer = Offer(COMMIT, COMMITTED, 21_000_000, drivers, matched, "e" * 128)
    return replace(offer, **changes)  # type: ignore[arg-type]


def test_commit_is_offered_after_its_cool_down(old_pins: Pins, facts: Facts) -> None:
    day = date(2026, 8, 27)
    (offered,) = propose(old_pins, facts, commit(facts), today=day)
    assert (offered.verdict, offered.reason) == (Verdict.OFFERED, "")
    (cooling,) = propose(old_pins, facts, commit(facts), today=day, cool_down=8)
    assert (cooling.verdict, cooling.reason, cooling.changes) == (
        Verdict.COOLING,
        "cooling down until 2026-08-28",
        (),
    )


def test_older_commit_is_offered_while_a_newer_one_cools_down(old_pins: Pins, facts: Facts) -> None:
    young = datetime(2026, 11, 20, tzinfo=UTC)
    offers = [
        commit(facts, version="v0.0.0-20261120000000-aaaaaaaaaaaa", published=young),
        commit(facts, version="v0.0.0-20261119000000-bbbbbbbbbbbb", published=young),
        commit(facts),
        commit(facts, version="v0.0.0-20260819120000-cccccccccccc"),
    ]
    rows = propose(old_pins, facts, *offers)
    assert [(row.version, row.verdict) for row in rows] == [
        (offers[0].version, Verdict.COOLING),
        (COMMIT, Verdict.OFFERED),
    ]


def test_commit_of_unknown_age_is_held(old_pins: Pins, facts: Facts) -> None:
    (held,) = propose(old_pins, facts, commit(facts, published=None))
    assert (held.verdict, "its age is unknown" in held.reason) == (Verdict.HELD, True)


@pytest.mark.parametrize(
    "day", [datetime(9999, 12, 31, tzinfo=UTC), datetime(2026, 11, 26, tzinfo=UTC)]
)
def test_commit_with_a_future_date_is_held(day: datetime, old_pins: Pins, facts: Facts) -> None:
    """One day of clock skew is allowed."""
    (held,) = propose(old_pins, facts, commit(facts, published=day))
    assert (held.verdict, held.reason) == (
        Verdict.HELD,
        f"the module proxy reports the date {day.date()}, which is in the future",
    )
    tomorrow = datetime(2026, 11, 25, tzinfo=UTC)
    assert propose(old_pins, facts, commit(facts, published=tomorrow))[0].verdict is Verdict.COOLING


def test_commit_is_held_when_a_source_does_not_answer(old_pins: Pins, facts: Facts) -> None:
    (held,) = propose(old_pins, facts, commit(facts, error="bucket: HTTP 500"))
    assert (held.verdict, held.reason, held.source_failed) == (
        Verdict.HELD,
        "bucket: HTTP 500",
        True,
    )


def test_four_pins_change_together(old_pins: Pins, facts: Facts) -> None:
    (row,) = propose(old_pins, facts, commit(facts))
    assert {change.location: change.new for change in row.changes} == {
        ("components", COMPONENT, "version"): "20260817.0",
        ("components", COMPONENT, "packages", "version"): COMMIT,
        ("components", COMPONENT, "packages", "describe"): "20260817.0-go.0123456789ab",
        ("components", COMPONENT, UPSTREAM, "sha512"): "e" * 128,
    }


def test_gains_are_compared_with_the_pinned_release(old_pins: Pins, facts: Facts) -> None:
    (row,) = propose(old_pins, facts, commit(facts))
    assert row.gains == ("580.173.02", "610.57.04", "615.15.00", "615.62.00", "620.06.00")
    assert row.losses == ()


def test_commit_is_held_when_no_release_serves_the_same_drivers(
    old_pins: Pins, facts: Facts
) -> None:
    (row,) = propose(old_pins, facts, commit(facts, more="580.178.04"))
    assert (row.verdict, row.source_failed) == (Verdict.HELD, False)
    assert row.reason.endswith("compared with 20260817.0, it also serves 580.178.04")
    assert "580.178.04" in row.gains
    release = facts.releases.get("20260817.0")
    assert release
    gone = release.supported[-1]
    (less,) = propose(old_pins, facts, commit(facts, without=gone))
    assert less.reason.endswith(f"compared with 20260817.0, it does not serve {gone}")


def test_release_after_a_commit_does_not_match_it(facts: Facts) -> None:
    served = facts.releases.get("20260817.0")
    assert served
    assert contract.matching(served, COMMITTED, facts.releases) == "20260817.0"
    earlier = datetime(2026, 8, 16, tzinfo=UTC)
    assert contract.matching(served, earlier, facts.releases) != "20260817.0"


def test_lost_fleet_driver_is_refused_with_a_fix(old_pins: Pins, facts: Facts) -> None:
    (row,) = propose(old_pins, facts, commit(facts, without="535.129.03"))
    assert (row.verdict, row.changes, row.losses) == (Verdict.REFUSED, (), ("535.129.03",))
    assert (
        row.reason
        == "loses fleet driver 535.129.03; the newest release up to it that keeps the drivers"
        " of the"
        " fleet is 20260817.0"
    )


def test_unserved_driver_is_not_lost(old_pins: Pins, facts: Facts) -> None:
    fleet = old_pins.fleet.model_copy(update={"drivers": ("535.104.05", "580.159.04")})
    pinned = facts.releases.get(old_pins.components[COMPONENT].version)
    assert pinned
    assert "535.104.05" not in pinned.supported
    (row,) = propose(old_pins.model_copy(update={"fleet": fleet}), facts, commit(facts))
    assert row.verdict is Verdict.OFFERED


def test_tables_describe_the_same_releases(facts: Facts, pins: Pins) -> None:
    names = {release.name for release in facts.releases}
    pin = pins.components[COMPONENT]
    assert set(facts.sha512) <= names
    assert len(facts.sha512) >= 56
    assert facts.sha512[pin.version] == getattr(pin, UPSTREAM).sha512


def test_commits_are_ordered_by_their_dates(pins: Pins) -> None:
    assert date_of("v0.0.0-20260820120000-0123456789ab") > date_of(
        "v0.0.0-20260701204157-ffffffffffff"
    )
    assert date_of(current(pins))
    assert date_of("v1.2.3") == ""
