"""Why a release does not serve a driver, and how to fix that, as text."""

from collections.abc import Sequence

from worker_images.model.drivers.table import KNOWN, SUPPORTED, Release, Table, order
from worker_images.model.drivers.version import near

# The four pins of a release: version, packages.version, packages.describe and upstream.sha512.
WITH_OTHER_PINS = "with its other pins (./build.py update --write, or all four by hand)"
FLAG = "--nvproxy-allow-unsupported-driver"


def why(driver: str, release: Release, table: Table) -> str:
    """Why a release does not serve a driver: the releases that dropped it and first served it."""
    if release.status(driver) == KNOWN:
        return f"known and not supported: served only with {FLAG}"
    served = [span for span in table.spans(driver) if span.status == SUPPORTED]
    if not served:
        return f"no release up to {table.newest} serves it"
    before = [span for span in served if order(span.first) < order(release.name)]
    after = [span for span in served if order(span.first) >= order(release.name)]
    parts = []
    if before:
        dropped = before[-1].begin + len(before[-1].releases)
        parts.append(f"dropped in {table.releases[dropped].name}")
    if after:
        begun = "back in" if before else "first served in"
        parts.append(f"{begun} {after[0].first}")
    return ", ".join(parts)


def suggested_fixes(driver: str, release: Release, table: Table, fleet: Sequence[str]) -> str:
    """Fixes to choose from: another pin, which serves the fleet if possible, or another driver."""
    serving = table.serving(driver, *fleet)[-1:] or table.serving(driver)[-1:]
    lost = [
        (each.name, [other for other in fleet if other not in each.supported]) for each in serving
    ]
    pins = [
        f"set gvisor.version to {name} {WITH_OTHER_PINS}"
        + (f" (which does not serve {', '.join(others)} of the fleet)" if others else "")
        for name, others in lost
    ]
    drivers = [f"install driver {each}" for each in nearest(driver, release)]
    flags = [f"give runsc {FLAG}"] if release.status(driver) == KNOWN else []
    return ", or ".join([*pins, *drivers, *flags])


def nearest(driver: str, release: Release) -> tuple[str, ...]:
    """The served driver that is nearest: the next newer one, or else the last older one."""
    return near(driver, list(release.supported))[-1:]
