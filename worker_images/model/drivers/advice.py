"""Why a release does not serve a driver, and the ways out, in words."""

from collections.abc import Sequence

from worker_images.model.drivers.table import KNOWN, SUPPORTED, Release, Table, order
from worker_images.model.drivers.version import near

# What moves with the release: version, packages.version, packages.describe and upstream.sha512.
TOGETHER = "with its other pins (./build.py update --write, or all four by hand)"
FLAG = "--nvproxy-allow-unsupported-driver"


def why(driver: str, release: Release, table: Table) -> str:
    """What became of the driver before and after this release."""
    if release.status(driver) == KNOWN:
        return f"known and not supported: served only with {FLAG}"
    served = [span for span in table.spans(driver) if span.status == SUPPORTED]
    if not served:
        return f"no release up to {table.newest} serves it"
    place = next(
        (number for number, each in enumerate(table) if order(each.name) >= order(release.name)),
        len(table.releases),
    )
    before = [span for span in served if span.begin < place]
    after = [span for span in served if span.begin >= place]
    words = (
        [f"dropped in {table.releases[before[-1].begin + len(before[-1].releases)].name}"]
        if before
        else []
    )
    words += [f"{'back in' if before else 'first served in'} {after[0].first}"] if after else []
    return ", ".join(words)


def suggested_fixes(driver: str, release: Release, table: Table, fleet: Sequence[str]) -> str:
    """What to change: the pin, where the fleet's other drivers allow it, or the node's driver."""
    serving = table.serving(driver, *fleet)[-1:] or table.serving(driver)[-1:]
    lost = [
        (each.name, [other for other in fleet if other not in each.supported]) for each in serving
    ]
    pins = [
        f"set gvisor.version to {name} {TOGETHER}"
        + (f" (without {', '.join(others)} of the fleet)" if others else "")
        for name, others in lost
    ]
    drivers = [f"install driver {each}" for each in nearest(driver, release)]
    flags = [f"give runsc {FLAG}"] if release.status(driver) == KNOWN else []
    return ", or ".join([*pins, *drivers, *flags])


def nearest(driver: str, release: Release) -> tuple[str, ...]:
    """The driver that a node would change to: of those that the release serves, the next newer, or
    else the last older.
    """
    return near(driver, list(release.supported))[-1:]
