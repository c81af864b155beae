"""Verdicts on newer gVisor commits, from pins, offers and tables; no I/O."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from worker_images.build.update import contract
from worker_images.build.update.values import (
    PSEUDO_VERSION,
    Change,
    Facts,
    Offer,
    Policy,
    Proposal,
    Verdict,
)
from worker_images.model.drivers.table import COMPONENT, ordered
from worker_images.model.pins import Pins

# The key of versions.yaml with the pins of upstream releases.
UPSTREAM = "upstream"
CLOCK_SKEW = timedelta(days=1)


def current(pins: Pins) -> str:
    """Return the pinned commit."""
    return pins.components[COMPONENT].packages.version or ""


def proposals(
    pins: Pins, offers: Sequence[Offer], facts: Facts, policy: Policy
) -> Iterator[Proposal]:
    """Yield the newest commit of each verdict, newest first, up to the first offered one."""
    seen: set[Verdict] = set()
    for offer in offers:
        proposal = _proposal(pins, offer, facts, policy)
        if proposal.verdict not in seen:
            yield proposal
        seen.add(proposal.verdict)
        if proposal.verdict is Verdict.OFFERED:
            return


def _proposal(pins: Pins, offer: Offer, facts: Facts, policy: Policy) -> Proposal:
    verdict, reason = _verdict(pins, offer, facts, policy)
    new = set(offer.drivers.supported) if offer.drivers else set()
    old = _served(pins, facts) if offer.drivers else set()
    return Proposal(
        current=current(pins),
        version=offer.version,
        published=offer.published,
        size=offer.size,
        verdict=verdict,
        reason=reason,
        source_failed=bool(offer.error) and verdict is Verdict.HELD,
        gains=ordered(new - old),
        losses=ordered(old - new),
        changes=tuple(_changes(pins, offer)) if verdict is Verdict.OFFERED else (),
    )


def _served(pins: Pins, facts: Facts) -> set[str]:
    """Return the drivers of the pinned release."""
    pinned = facts.releases.get(pins.components[COMPONENT].version)
    return set(pinned.supported) if pinned else set()


def _verdict(pins: Pins, offer: Offer, facts: Facts, policy: Policy) -> tuple[Verdict, str]:
    if loss := _loss(pins, offer, facts):
        return Verdict.REFUSED, loss
    if offer.error:
        return Verdict.HELD, offer.error
    if offer.published is None:
        return Verdict.HELD, "the module proxy reports no date, so its age is unknown"
    day = offer.published.date()
    if day > policy.today + CLOCK_SKEW:
        return Verdict.HELD, f"the module proxy reports the date {day}, which is in the future"
    if not offer.release:
        return Verdict.HELD, _unmatched(offer, facts)
    ready = day + timedelta(days=policy.cool_down)
    if ready > policy.today:
        return Verdict.COOLING, f"cooling down until {ready}"
    return Verdict.OFFERED, ""


def _loss(pins: Pins, offer: Offer, facts: Facts) -> str:
    """Return the fleet drivers that a commit would lose, with a fix; empty if it keeps all."""
    if offer.drivers is None:
        return ""
    served = [driver for driver in pins.fleet.drivers if driver in _served(pins, facts)]
    lost = [driver for driver in served if driver not in offer.drivers.supported]
    if not lost:
        return ""
    keeping = contract.keeping(served, offer.published, facts.releases) if offer.published else ""
    return (
        f"loses fleet driver {', '.join(lost)}; the newest release up to it that keeps the drivers"
        f" of the fleet is {keeping or pins.components[COMPONENT].version}"
    )


def _unmatched(offer: Offer, facts: Facts) -> str:
    """Return how the drivers of a commit differ from those of the release before it."""
    if offer.drivers is None or offer.published is None:
        return ""
    nearest = next(iter(contract.before(facts.releases, offer.published)), None)
    new, old = set(offer.drivers.supported), set(nearest.supported) if nearest else set()
    more, less = ", ".join(ordered(new - old)), ", ".join(ordered(old - new))
    parts = [f"also serves {more}" if more else "", f"does not serve {less}" if less else ""]
    difference = " and ".join(filter(None, parts))
    return (
        "no release in drivers.json serves the same drivers, so the two sources would differ;"
        f" compared with {nearest.name if nearest else 'none'}, it {difference}"
    )


def _changes(pins: Pins, offer: Offer) -> Iterator[Change]:
    """Yield the changes of the four gVisor pins."""
    pin = pins.components[COMPONENT]
    rows = (
        (("version",), pin.version, offer.release),
        (("packages", "version"), pin.packages.version, offer.version),
        (("packages", "describe"), pin.packages.describe, describe(offer)),
        ((UPSTREAM, "sha512"), getattr(pin, UPSTREAM).sha512, offer.sha512),
    )
    for place, old, new in rows:
        if old and old != new:
            yield Change(("components", COMPONENT, *place), old, new)


def describe(offer: Offer) -> str:
    """Return the version that runsc reports after `release-`.

    A Go module has no git description, so this joins release and commit.
    """
    commit = PSEUDO_VERSION.fullmatch(offer.version)
    return f"{offer.release}-go.{commit[2]}" if commit else ""
