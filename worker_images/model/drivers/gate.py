"""The plan's gate: a pin under which a driver of the fleet is not served stops every command before
it builds.
"""

import re
from collections.abc import Iterator

from worker_images.errors import Finding, PolicyError
from worker_images.model.document import Document, raise_findings
from worker_images.model.drivers.advice import TOGETHER, suggested_fixes, why
from worker_images.model.drivers.table import COMPONENT, DRIVERS, SUPPORTED, Release, Table
from worker_images.model.pins import Pins

PIN = ("components", COMPONENT, "version")
DESCRIBE = ("components", COMPONENT, "packages", "describe")


def check(pins: Pins, document: Document, table: Table) -> None:
    """Raises DocumentError where an entry of allow_unserved is idle or a pin stayed behind,
    PolicyError where a driver is not served.
    """
    if COMPONENT not in pins.components:
        return
    name = pins.components[COMPONENT].version
    pinned = table.get(name)
    if not pinned:
        fix = (
            f"pin {table.newest}, the newest row, {TOGETHER}, or add a row to {DRIVERS}: see"
            " docs/drivers.md"
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
    """All for which the gate would stop a command, where the pinned release is in the table."""
    pinned = table.get(pins.components[COMPONENT].version) if COMPONENT in pins.components else None
    if not pinned:
        return []
    return [
        *mismatched_describe(pins, document),
        *unused_exceptions(pins, document, pinned),
        *unserved(pins, document, pinned, table),
    ]


def mismatched_describe(pins: Pins, document: Document) -> Iterator[Finding]:
    """A describe of another release than the pinned one: the image's label would name what its
    runsc is not.
    """
    pin = pins.components[COMPONENT]
    if pin.packages.describe and not re.match(
        re.escape(pin.version) + r"(?![0-9A-Za-z.])", pin.packages.describe
    ):
        what = f"{pin.packages.describe} is not of gvisor.version {pin.version}"
        yield document.finding(
            DESCRIBE, what, "the packages are of another release", f"change the version {TOGETHER}"
        )


def unused_exceptions(pins: Pins, document: Document, pinned: Release) -> Iterator[Finding]:
    """Entries of allow_unserved that allow nothing."""
    names = [each.driver for each in pins.fleet.allow_unserved]
    for number, driver in enumerate(names):
        place = ("fleet", "allow_unserved", number, "driver")
        if driver not in pins.fleet.drivers:
            yield document.finding(
                place,
                f"{driver} is no driver of the fleet",
                "fleet.drivers does not name it",
                "delete the entry",
            )
        elif pinned.status(driver) == SUPPORTED:
            yield document.finding(
                place,
                f"{driver} needs no permission",
                f"gvisor.version {pinned.name} serves it",
                "delete the entry",
            )
        elif driver in names[:number]:
            yield document.finding(
                place, f"{driver} is written twice", "one reason is enough", "delete one"
            )


def unserved(pins: Pins, document: Document, pinned: Release, table: Table) -> Iterator[Finding]:
    """Drivers of the fleet that the pinned release does not serve, and that nobody allowed."""
    allowed = {each.driver for each in pins.fleet.allow_unserved}
    for number, driver in enumerate(pins.fleet.drivers):
        if driver not in allowed and pinned.status(driver) != SUPPORTED:
            due = [each for each in pins.fleet.drivers if each not in allowed]
            permission = f'allow it: fleet.allow_unserved: [{{driver: "{driver}", reason: "..."}}]'
            fix = ", or ".join(
                filter(None, [suggested_fixes(driver, pinned, table, due), permission])
            )
            what = f"{driver} is not served by gvisor.version {pinned.name}"
            yield document.finding(
                ("fleet", "drivers", number), what, why(driver, pinned, table), fix
            )
