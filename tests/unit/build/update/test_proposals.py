"""The verdict on a newer version, and versions.yaml changed in place: pure, with the case that is
well beside each that is not.
"""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from worker_images.build.update import contract, edit, gather, order
from worker_images.build.update.proposals import (
    CRIU,
    CUDA,
    DEBIAN,
    GO,
    GVISOR,
    Found,
    proposals,
    released,
)
from worker_images.build.update.values import (
    Change,
    Contract,
    Facts,
    Offer,
    Policy,
    Proposal,
    Verdict,
)
from worker_images.errors import DriftError
from worker_images.files import ROOT
from worker_images.model import pins
from worker_images.model.document import parse
from worker_images.model.drivers.table import DRIVERS
from worker_images.model.pins import Pins

TOOLKIT = "nvidia-container-toolkit"
TODAY = date(2026, 11, 24)
OLD_ENOUGH = datetime(2026, 11, 17, 23, 59, tzinfo=UTC)
TOO_YOUNG = datetime(2026, 11, 18, 0, 1, tzinfo=UTC)
COMMIT, COMMITTED = "v0.0.0-20260820120000-0123456789ab", datetime(2026, 8, 20, 12, tzinfo=UTC)
GOLDEN = ROOT / "tests/unit/golden/versions.yaml"
TEXT = GOLDEN.read_bytes()


@pytest.fixture(scope="module")
def then() -> Pins:
    """The pins of a day, which no bump moves."""
    return pins.load(GOLDEN)[0]


@pytest.fixture(scope="module")
def facts() -> Facts:
    return gather.facts(ROOT)


def judged(
    then: Pins, facts: Facts, component: str, *offers: Offer, **changes: object
) -> list[Proposal]:
    policy = replace(Policy(TODAY), **changes)  # type: ignore[arg-type]
    rows = [released(offer, component, facts) for offer in offers]
    return list(proposals(then, Found(component, rows), facts, policy))


def commit(facts: Facts, *, without: str = "", more: str = "") -> Offer:
    """A commit whose drivers are those of the release before it, but for one."""
    supported = facts.releases["20260817.0"].supported - {without} | ({more} if more else set())
    return Offer(
        COMMIT, COMMITTED, 21_000_000, vendor="e" * 128, contract=Contract(frozenset(supported))
    )


def test_a_comment_that_quotes_the_old_value_stays() -> None:
    data = TEXT.replace(
        b'    version: "1.5.2"\n',
        b'    version: "1.5.2"  # not \'1.5.2\' of the fork, nor "1.5.2"\n',
        1,
    )
    assert data != TEXT
    result = edit.edited(
        data, "versions.yaml", [Change(("components", "runc", "version"), "1.5.2", "1.5.3")]
    )
    assert b'    version: "1.5.3"  # not \'1.5.2\' of the fork, nor "1.5.2"\n' in result
    assert len(result) == len(data)


def test_a_version_is_offered_when_it_is_ripe(then: Pins, facts: Facts) -> None:
    (young,) = judged(then, facts, TOOLKIT, Offer("v1.20.2", TOO_YOUNG))
    assert (young.verdict, young.reason, young.changes) == (
        Verdict.TOO_YOUNG,
        "ripe on 2026-11-25",
        (),
    )
    (ripe,) = judged(then, facts, TOOLKIT, Offer("v1.20.2", OLD_ENOUGH))
    assert (ripe.verdict, ripe.reason) == (Verdict.OFFERED, "")
    (taken,) = judged(then, facts, TOOLKIT, Offer("v1.20.2", TOO_YOUNG), cool_down=6)
    assert taken.verdict is Verdict.OFFERED


def test_an_older_ripe_version_is_found_behind_a_young_one(then: Pins, facts: Facts) -> None:
    offers = [
        Offer("v1.20.4", TOO_YOUNG),
        Offer("v1.20.3", OLD_ENOUGH),
        Offer("v1.20.2", OLD_ENOUGH),
    ]
    rows = judged(then, facts, TOOLKIT, *offers)
    assert [(row.version, row.verdict) for row in rows] == [
        ("v1.20.4", Verdict.TOO_YOUNG),
        ("v1.20.3", Verdict.OFFERED),
    ]


def test_a_version_of_unknown_age_is_held_except_debians(then: Pins, facts: Facts) -> None:
    (held,) = judged(then, facts, TOOLKIT, Offer("v1.20.2"))
    assert held.verdict is Verdict.HELD
    assert "its age is not known" in held.reason
    (taken,) = judged(then, facts, CRIU, Offer("4.2", vendor="a" * 64))
    assert taken.verdict is Verdict.OFFERED
    (image,) = judged(then, facts, DEBIAN, Offer("sha256:" + "1" * 64))
    assert image.changes == (
        Change(("debian", "digest"), then.debian.digest, "sha256:" + "1" * 64),
    )


@pytest.mark.parametrize(
    "day", [datetime(9999, 12, 31, tzinfo=UTC), datetime(2026, 11, 26, tzinfo=UTC)]
)
def test_a_date_that_is_not_yet_is_held(day: datetime, then: Pins, facts: Facts) -> None:
    (held,) = judged(then, facts, TOOLKIT, Offer("v1.20.2", day))
    assert (held.verdict, f"its registry dates it {day.date()}" in held.reason) == (
        Verdict.HELD,
        True,
    )
    (young,) = judged(then, facts, TOOLKIT, Offer("v1.20.2", datetime(2026, 11, 25, tzinfo=UTC)))
    assert young.verdict is Verdict.TOO_YOUNG


def test_numbers_without_end_are_no_release() -> None:
    assert order.newer(["v1." + "9" * 5000, "v1.5.3"], "v1.5.2") == ["v1.5.3"]


def test_what_cannot_be_had_whole_is_held(then: Pins, facts: Facts) -> None:
    (held,) = judged(
        then, facts, "runc", Offer("v1.5.3", OLD_ENOUGH, fault="github.com does not answer")
    )
    assert (held.verdict, held.reason) == (Verdict.HELD, "github.com does not answer")
    (taken,) = judged(then, facts, "runc", Offer("v1.5.3", OLD_ENOUGH, vendor="a" * 64))
    assert taken.verdict is Verdict.OFFERED


@pytest.mark.parametrize(("component", "version"), [(GO, "1.27.4"), (CUDA, "12.9.79")])
def test_another_line_is_asked_for(component: str, version: str, then: Pins, facts: Facts) -> None:
    offer = Offer(version, OLD_ENOUGH, digest="a" * 64, vendor="sha256:" + "b" * 64)
    (held,) = judged(then, facts, component, offer)
    assert (held.verdict, held.reason) == (Verdict.HELD, "another release line; --major takes it")
    (taken,) = judged(then, facts, component, offer, major=True)
    assert taken.verdict is Verdict.OFFERED


def test_all_pins_of_a_component_move_together(then: Pins, facts: Facts) -> None:
    moved = {
        TOOLKIT: (
            Offer("v1.20.2", OLD_ENOUGH),
            {"version": "1.20.2", "packages.version": "v1.20.2"},
        ),
        "runc": (
            Offer("v1.5.3", OLD_ENOUGH, vendor="a" * 64),
            {"version": "1.5.3", "packages.version": "v1.5.3", "vendor.sha256": "a" * 64},
        ),
        CRIU: (
            Offer("4.2", digest="a" * 64, vendor="a" * 64),
            {"version": "4.2", "vendor.sha256": "a" * 64},
        ),
        CUDA: (
            Offer("12.8.90", OLD_ENOUGH, digest="a" * 64, vendor="sha256:" + "b" * 64),
            {"version": "12.8.1-base-ubuntu22.04", "packages.version": "12.8.90"}
            | {"packages.sha256": "a" * 64, "vendor.digest": "sha256:" + "b" * 64},
        ),
        GVISOR: (
            commit(facts),
            {"version": "20260817.0", "packages.version": COMMIT}
            | {"packages.describe": "20260817.0-go.0123456789ab", "vendor.sha512": "e" * 128},
        ),
    }
    for component, (offer, wanted) in moved.items():
        (row,) = judged(then, facts, component, offer)
        assert {
            ".".join(map(str, change.location[2:])): change.new for change in row.changes
        } == wanted
        assert {change.location[:2] for change in row.changes} == {("components", component)}
    assert judged(then, facts, CUDA, moved[CUDA][0])[0].group == "cuda"


def test_a_wheel_that_nobody_knows_is_held(then: Pins, facts: Facts) -> None:
    (row,) = judged(then, facts, CUDA, Offer("12.8.99", OLD_ENOUGH, digest="a" * 64))
    assert row.verdict is Verdict.HELD
    assert "nobody wrote which CUDA 12.8.99 belongs to" in row.reason


def test_the_pinned_wheel_is_written_down(pins: Pins, facts: Facts) -> None:
    pin = pins.components[CUDA]
    assert pin.version == f"{facts.runtimes[pin.packages.version or '']}-base-ubuntu22.04"


def test_cudas_least_driver_is_held_against_the_fleet(then: Pins, facts: Facts) -> None:
    assert facts.floors == {"12": "525.60.13", "13": "580.65.06"}
    known = replace(facts, runtimes={**facts.runtimes, "13.0.48": "13.0.0"})
    offer = Offer("13.0.48", OLD_ENOUGH, digest="a" * 64, vendor="sha256:" + "b" * 64)
    (broken,) = judged(then, known, CUDA, offer, major=True)
    assert (broken.verdict, broken.changes) == (Verdict.REFUSED, ())
    assert broken.reason == "CUDA 13 needs driver 580.65.06 or later, and the fleet has 535.129.03"
    newer = then.model_copy(
        update={"fleet": then.fleet.model_copy(update={"drivers": ("580.65.06", "580.159.04")})}
    )
    assert judged(newer, known, CUDA, offer, major=True)[0].verdict is Verdict.OFFERED


def test_a_commit_is_of_the_newest_release_with_the_same_drivers(then: Pins, facts: Facts) -> None:
    (row,) = judged(then, facts, GVISOR, commit(facts))
    assert row.verdict is Verdict.OFFERED
    assert row.gains == ("580.173.02", "610.57.04", "615.15.00", "615.62.00", "620.06.00")
    assert row.losses == ()


def test_a_commit_that_no_release_equals_is_held(then: Pins, facts: Facts) -> None:
    (row,) = judged(then, facts, GVISOR, commit(facts, more="580.178.04"))
    assert row.verdict is Verdict.HELD
    assert row.reason.endswith("beside 20260817.0 it also serves 580.178.04")
    assert "580.178.04" in row.gains


def test_a_release_after_the_commit_is_not_its_own(facts: Facts) -> None:
    served = facts.releases["20260817.0"]
    assert contract.matching(served, COMMITTED, facts.releases) == "20260817.0"
    assert (
        contract.matching(served, datetime(2026, 8, 16, tzinfo=UTC), facts.releases) != "20260817.0"
    )


def test_a_lost_fleet_driver_is_refused_with_the_way_out(then: Pins, facts: Facts) -> None:
    (broken,) = judged(then, facts, GVISOR, commit(facts, without="535.129.03"))
    assert (broken.verdict, broken.changes, broken.losses) == (Verdict.REFUSED, (), ("535.129.03",))
    assert (
        broken.reason
        == "loses fleet driver 535.129.03; the newest release up to it that keeps what the fleet"
        " has is 20260817.0"
    )


def test_another_lost_driver_is_told_and_not_refused(then: Pins, facts: Facts) -> None:
    (row,) = judged(then, facts, GVISOR, commit(facts, without="550.90.12"))
    assert row.losses == ("550.90.12",)
    assert row.verdict is Verdict.HELD


def test_a_driver_that_was_never_served_is_not_lost(then: Pins, facts: Facts) -> None:
    fleet = then.fleet.model_copy(update={"drivers": ("535.104.05", "580.159.04")})
    assert "535.104.05" not in facts.releases[then.components[GVISOR].version].supported
    (row,) = judged(then.model_copy(update={"fleet": fleet}), facts, GVISOR, commit(facts))
    assert row.verdict is Verdict.OFFERED


def test_the_tables_are_of_the_same_releases(facts: Facts, pins: Pins) -> None:
    assert set(facts.runsc) <= set(facts.releases)
    assert len(facts.runsc) >= 56
    assert facts.runsc[pins.components[GVISOR].version] == pins.components[GVISOR].vendor.sha512
    assert list(facts.releases) == list(contract.table(ROOT / DRIVERS))


def test_versions_are_ordered_by_their_numbers() -> None:
    assert order.newer(["v1.5.10", "v1.5.9", "v1.5.2", "v1.4.9"], "v1.5.2") == ["v1.5.10", "v1.5.9"]
    assert order.numbers("20260209.1") > order.numbers("20260209.0")
    assert order.numbers("v0.0.0-20260820120000-0123456789ab") > order.numbers(
        "v0.0.0-20260701204157-ffffffffffff"
    )


CHANGES = (
    Change(("go", "toolchain"), "1.26.11", "1.26.12"),
    Change(("components", "runc", "version"), "1.5.2", "1.5.3"),
    Change(("components", "runc", "packages", "version"), "v1.5.2", "v1.5.3"),
)


def test_only_what_was_asked_for_changes() -> None:
    result = edit.edited(TEXT, "versions.yaml", CHANGES)
    before, after = TEXT.split(b"\n"), result.split(b"\n")
    rows = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert rows == [
        (b'  toolchain: "1.26.11"', b'  toolchain: "1.26.12"'),
        (b'    version: "1.5.2"', b'    version: "1.5.3"'),
        (b'      version: "v1.5.2"', b'      version: "v1.5.3"'),
    ]
    assert (
        edit.edited(
            result, "versions.yaml", [Change(each.location, each.new, each.old) for each in CHANGES]
        )
        == TEXT
    )


LINES = (
    '  toolchain: "1.26.11"   # "1.26.11" stays',
    "  toolchain: '1.26.11'",
    '  toolchain:    "1.26.11"  ',
    '  toolchain: "1.26.11" # \u2192 next',
    '  "toolchain": "1.26.11"',
)


@pytest.mark.parametrize("line", LINES)
def test_quotes_comments_and_spaces_stay(line: str) -> None:
    text = f'a: "1.26.11"\ngo:\n{line}\nb: "1.26.11"\n'
    result = edit.edited(text.encode(), "f", CHANGES[:1]).decode()
    assert result == text.replace(line, line.replace("1.26.11", "1.26.12", 1))


def test_the_value_of_its_own_key_changes() -> None:
    text = b'go: {first: "1.26.11", toolchain: "1.26.11"}\n'
    assert edit.edited(text, "f", CHANGES[:1]) == b'go: {first: "1.26.11", toolchain: "1.26.12"}\n'


def test_a_pin_that_was_edited_meanwhile_is_not_overwritten() -> None:
    with pytest.raises(
        DriftError, match=r"go\.toolchain is no longer '1\.26\.11'; it was edited meanwhile"
    ):
        edit.edited(TEXT.replace(b'"1.26.11"', b'"1.26.10"'), "versions.yaml", CHANGES)


def test_a_value_on_another_line_is_refused() -> None:
    text = b'go:\n  toolchain:\n    "1.26.11"\n'
    with pytest.raises(DriftError, match="write each value on the line of its key"):
        edit.edited(text, "f", CHANGES[:1])


def test_the_result_is_what_pins_reads(then: Pins) -> None:
    result = edit.edited(TEXT, "versions.yaml", CHANGES)
    loaded = Pins.model_validate(parse(result, "versions.yaml").value)
    assert loaded.go.toolchain == "1.26.12"
    assert loaded.model_copy(update={"go": then.go, "components": then.components}) == then
    assert pins.load(GOLDEN)[0] == then
