"""The verdict on each newer version: pure, from pins, offers and facts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from worker_images.build.update import contract, order
from worker_images.build.update.values import (
    Change,
    Contract,
    Facts,
    Offer,
    Policy,
    Proposal,
    Verdict,
)
from worker_images.model.document import Location
from worker_images.model.pins import ComponentPin, Pins

GVISOR, CUDA, CRIU, GO, DEBIAN = "gvisor", "cuda-runtime", "criu", "go", "debian"
GROUPS = {CUDA: "cuda"}
# Where another release line is more than a bump: its paths, or its language, are another.
IN_LINE = {GO, CUDA}
# A suite takes what Debian has reviewed, and its mirrors tell no day.
UNDATED = {CRIU}
CLOCKS_DIFFER = timedelta(days=1)
TAG_OF = "{}-base-ubuntu22.04"


@dataclass(frozen=True)
class Found:
    """What the sources of one component offer, newest first."""

    component: str
    offers: Sequence[Offer]


def pinned(pins: Pins, component: str) -> str:
    """The version that a component's registry is asked by."""
    if component == GO:
        return pins.go.toolchain
    if component == DEBIAN:
        return pins.debian.digest
    pin = pins.components[component]
    return pin.packages.version or pin.version


def proposals(pins: Pins, found: Found, facts: Facts, policy: Policy) -> Iterator[Proposal]:
    """Newest first, down to the first that may be taken.

    Of several with one verdict in one release line, the newest.
    """
    seen: set[tuple[Verdict, bool]] = set()
    for offer in found.offers:
        proposal = _judged(pins, found.component, offer, facts, policy)
        kind = proposal.verdict, order.line(offer.version) == order.line(proposal.current)
        if kind not in seen:
            yield proposal
        seen.add(kind)
        if proposal.verdict is Verdict.OFFERED:
            return


def released(offer: Offer, component: str, facts: Facts) -> Offer:
    """With the release that both supplies share, or the reason why there is none."""
    if component == GVISOR and offer.contract and offer.published:
        release = contract.matching(offer.contract, offer.published, facts.releases)
        nearest = next(iter(contract.before(facts.releases, offer.published)), "")
        fault = offer.fault or ("" if release else _unmatched(offer.contract, nearest, facts))
        return replace(offer, release=release, fault=fault)
    if component == CUDA:
        toolkit = facts.runtimes.get(offer.version, "")
        missing = (
            ""
            if toolkit
            else (
                f"nobody wrote which CUDA {offer.version} belongs to; add it to"
                " images/components/cuda-runtime/releases.json"
            )
        )
        return replace(
            offer, release=TAG_OF.format(toolkit) if toolkit else "", fault=offer.fault or missing
        )
    return replace(offer, release=offer.version.removeprefix("v"))


def _unmatched(commit: Contract, nearest: str, facts: Facts) -> str:
    """Which drivers tell a commit from the release before it."""
    written = facts.releases[nearest].supported if nearest else frozenset[str]()
    more = ", ".join(contract.in_order(commit.supported - written))
    less = ", ".join(contract.in_order(written - commit.supported))
    parts = [f"also serves {more}" if more else "", f"does not serve {less}" if less else ""]
    difference = " and ".join(filter(None, parts)) or "comes before them all"
    return (
        "no release in drivers.json serves the same drivers, so the two supplies would differ;"
        f" beside {nearest or 'them'} it {difference}"
    )


def _judged(pins: Pins, component: str, offer: Offer, facts: Facts, policy: Policy) -> Proposal:
    current = pinned(pins, component)
    gains, losses = _difference(pins, component, offer, facts)
    verdict, reason = _verdict(pins, component, offer, facts, policy)
    return Proposal(
        component=component,
        group=GROUPS.get(component, component),
        current=current,
        version=offer.version,
        published=offer.published,
        size=offer.size,
        verdict=verdict,
        reason=reason,
        gains=gains,
        losses=losses,
        changes=tuple(changes(pins, component, offer)) if verdict is Verdict.OFFERED else (),
    )


def _difference(
    pins: Pins, component: str, offer: Offer, facts: Facts
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if component != GVISOR or offer.contract is None:
        return (), ()
    now, then = _served(pins, facts), offer.contract.supported
    return contract.in_order(then - now), contract.in_order(now - then)


def _served(pins: Pins, facts: Facts) -> frozenset[str]:
    return facts.releases.get(pins.components[GVISOR].version, Contract(frozenset())).supported


def _verdict(
    pins: Pins, component: str, offer: Offer, facts: Facts, policy: Policy
) -> tuple[Verdict, str]:
    current = pinned(pins, component)
    if (
        component in IN_LINE
        and not policy.major
        and order.line(offer.version) != order.line(current)
    ):
        return Verdict.HELD, "another release line; --major takes it"
    if broken := _fleet(pins, component, offer, facts):
        return Verdict.REFUSED, broken
    if offer.fault:
        return Verdict.HELD, offer.fault
    if offer.published is None and component not in UNDATED | {DEBIAN}:
        return Verdict.HELD, "its registry does not tell its date, so its age is not known"
    if offer.published and offer.published.date() > policy.today + CLOCKS_DIFFER:
        return (
            Verdict.HELD,
            (
                f"its registry dates it {offer.published.date()}, which is not yet, so its age is"
                " not known"
            ),
        )
    if (
        offer.published
        and (ripe := offer.published.date() + timedelta(days=policy.cool_down)) > policy.today
    ):
        return Verdict.TOO_YOUNG, f"ripe on {ripe}"
    return Verdict.OFFERED, ""


def _fleet(pins: Pins, component: str, offer: Offer, facts: Facts) -> str:
    """The promise to the fleet that a bump would break, with the way out.

    Empty where it keeps all.
    """
    if component == GVISOR and offer.contract:
        served = [driver for driver in pins.fleet.drivers if driver in _served(pins, facts)]
        lost = [driver for driver in served if driver not in offer.contract.supported]
        near = (
            contract.keeping(served, offer.published, facts.releases) if offer.published else ""
        ) or pins.components[GVISOR].version
        return (
            f"loses fleet driver {', '.join(lost)}; the newest release up to it that keeps what the"
            f" fleet has is {near}"
            if lost
            else ""
        )
    if component == CUDA:
        major = offer.version.partition(".")[0]
        floor = facts.floors.get(major, "")
        below = [
            driver
            for driver in pins.fleet.drivers
            if floor and order.numbers(driver) < order.numbers(floor)
        ]
        return (
            f"CUDA {major} needs driver {floor} or later, and the fleet has {', '.join(below)}"
            if below
            else ""
        )
    return ""


def changes(pins: Pins, component: str, offer: Offer) -> Iterator[Change]:
    """Every pin that moves with a version."""
    if component == GO:
        yield Change(("go", "toolchain"), pins.go.toolchain, offer.version)
    elif component == DEBIAN:
        yield Change(("debian", "digest"), pins.debian.digest, offer.version)
    else:
        pin = pins.components[component]
        rows = [
            (("components", component, *place), old, new) for place, old, new in _moves(pin, offer)
        ]
        yield from (
            Change(location, old, new) for location, old, new in rows if old and new and old != new
        )


def _moves(pin: ComponentPin, offer: Offer) -> Iterator[tuple[Location, str | None, str]]:
    yield ("version",), pin.version, offer.release
    yield ("packages", "version"), pin.packages.version, offer.version
    yield ("packages", "describe"), pin.packages.describe, describe(offer)
    yield ("packages", "sha256"), pin.packages.sha256, offer.digest
    for name in ("sha256", "sha512", "digest"):
        yield ("vendor", name), getattr(pin.vendor, name), offer.vendor


def describe(offer: Offer) -> str:
    """What runsc says after release-: a module carries no git description, so release and commit
    are joined here.
    """
    commit = order.PSEUDO.fullmatch(offer.version)
    return f"{offer.release}-go.{commit[2]}" if commit else ""
