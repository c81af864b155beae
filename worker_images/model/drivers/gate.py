"""The check of pins against the fleet: a driver that is not served stops a build."""

import re
from collections.abc import Iterator

from worker_images.errors import Finding, PolicyError
from worker_images.model.document import Document, raise_findings
from worker_images.model.drivers.advice import WITH_OTHER_PINS, advise
from worker_images.model.drivers.table import COMPONENT, DRIVERS, SUPPORTED, Release, Table
from worker_images.model.pins import Pins

PIN = ("components", COMPONENT, "version")
DESCRIBE = ("components", COMPONENT, "packages", "describe")


def check(pins: Pins, document: Document, table: Table) -> None:
    """Check the pins of gVisor and of the fleet.

    Raises DocumentError for an unused entry of allow_unserved, or for packages of another release;
    PolicyError for a driver that is not served.
    """
    if COMPONENT not in pins.components:
        return
    name = pins.components[COMPONENT].version
    pinned = table.get(name)
    if not pinned:
        fix = (
            f"pin {table.newest}, the newest entry, {WITH_OTHER_PINS}, or add an entry to"
            f" {DRIVERS}: see docs/drivers.md"
        )
        raise PolicyError(
            str(
                document.finding(
                    PIN,
                    f"{name} is not in the table of drivers",
                    "drivers.json has no entry for this release",
                    fix,
                )
            )
        )
    raise_findings(
        [*mismatched_describe(pins, document), *unused_exceptions(pins, document, pinned)]
    )
    if found := list(unserved(pins, document, pinned, table)):
        raise PolicyError("\n".join(map(str, found)))


def findings(pins: Pins, document: Document, table: Table) -> list[Finding]:
    """All findings of `check`; none if the pinned release is not in the table."""
    pinned = table.get(pins.components[COMPONENT].version) if COMPONENT in pins.components else None
    if not pinned:
        return []
    return [
        *mismatched_describe(pins, document),
        *unused_exceptions(pins, document, pinned),
        *unserved(pins, document, pinned, table),
    ]


def mismatched_describe(pins: Pins, document: Document) -> Iterator[Finding]:
    """A `describe` of another release than the pinned one; the image's label would be wrong."""
    pin = pins.components[COMPONENT]
    if pin.packages.describe and not re.match(
        re.escape(pin.version) + r"(?![0-9A-Za-z.])", pin.packages.describe
    ):
        what = f"{pin.packages.describe} is not of gvisor.version {pin.version}"
        why = "the packages belong to another release"
        yield document.finding(DESCRIBE, what, why, f"change the version {WITH_OTHER_PINS}")


def unused_exceptions(pins: Pins, document: Document, pinned: Release) -> Iterator[Finding]:
    """Entries of allow_unserved that have no effect."""
    names = [each.driver for each in pins.fleet.allow_unserved]
    for number, driver in enumerate(names):
        place = ("fleet", "allow_unserved", number, "driver")
        if driver not in pins.fleet.drivers:
            yield document.finding(
                place,
                f"{driver} is not a driver of the fleet",
                "fleet.drivers does not contain it",
                "delete the entry",
            )
        elif pinned.status(driver) == SUPPORTED:
            yield document.finding(
                place,
                f"{driver} does not need an exception",
                f"gvisor.version {pinned.name} serves it",
                "delete the entry",
            )
        elif driver in names[:number]:
            yield document.finding(
                place, f"{driver} is listed twice", "one entry is enough", "delete one"
            )


def unserved(pins: Pins, document: Document, pinned: Release, table: Table) -> Iterator[Finding]:
    """Drivers of the fleet that the pinned release must serve and does not."""
    allowed = {each.driver for each in pins.fleet.allow_unserved}
    for number, driver in enumerate(pins.fleet.drivers):
        if driver not in allowed and pinned.status(driver) != SUPPORTED:
            required = [each for each in pins.fleet.drivers if each not in allowed]
            exception = f'allow it: fleet.allow_unserved: [{{driver: "{driver}", reason: "..."}}]'
            advice = advise(driver, table, pinned, fleet=required)
            fix = ", or ".join(filter(None, [advice.step, exception]))
            what = f"{driver} is not served by gvisor.version {pinned.name}"
            yield document.finding(("fleet", "drivers", number), what, advice.why, fix)
