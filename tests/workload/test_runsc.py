"""Which gVisor is the image's runsc, and does it serve the nodes' drivers?"""

import re
from collections.abc import Callable

import pytest

from tests.workload.user import Seen
from worker_images.harness.options import not_run
from worker_images.model.drivers.table import Table
from worker_images.node import cause
from worker_images.node.node import Node
from worker_images.node.place import Answer, Place, run

STAMP = re.compile(r"^runsc version release-(\d{8}\.\d+)(\S*)\n")

Runsc = Callable[..., Answer]


@pytest.fixture(scope="module")
def runsc(worker: Place) -> Runsc:
    """Run the image's runsc."""
    return lambda *words: run(worker, [worker.runsc, *words])


@pytest.fixture(scope="module")
def served(runsc: Runsc) -> list[str]:
    """The drivers in the list of the image's runsc."""
    found = runsc("nvproxy", "list-supported-drivers")
    assert found.status == 0, found.errors
    return found.output.split()


def test_drivers_are_those_of_the_reported_release(
    runsc: Runsc, served: list[str], drivers: Table, seen: Seen
) -> None:
    """A build can report any release; its drivers are those of that release.

    Where commits follow it, they may be the next release's.
    """
    found = runsc("--version").output
    stamp = STAMP.match(found)
    assert stamp, f"not the version of a gVisor release: {found}"
    names = [release.name for release in drivers]
    assert stamp[1] in names, f"drivers.json has no entry for release {stamp[1]}"
    first = names.index(stamp[1])
    last = first + 1 if stamp[2] else first
    expected = [set(release.supported) for release in drivers.releases[first : last + 1]]
    assert set(served) in expected, f"not the drivers of release {stamp[1]}: {served}"
    seen(f"release-{stamp[1]}{stamp[2]}, with that release's {len(served)} drivers")


def test_nvproxy_flag_is_listed(runsc: Runsc, seen: Seen) -> None:
    """`runsc help` lists commands; `runsc flags` lists flags."""
    found = runsc("flags")
    assert "  -nvproxy" in (found.output + found.errors).splitlines()
    seen("-nvproxy")


def test_nvproxy_flag_is_accepted(runsc: Runsc, seen: Seen) -> None:
    """Flags are read before the command."""
    found = runsc("--nvproxy", "--version")
    assert found.status == 0, found.errors
    seen(f"--nvproxy: status {found.status}")


def test_unknown_flag_is_refused(runsc: Runsc, seen: Seen) -> None:
    """The control: a runsc that accepts any flag would pass the test above."""
    found = runsc("--no-such-flag", "--version")
    assert found.status == 2
    seen(f"--no-such-flag: status {found.status}")


def test_drivers_of_nodes_are_served(
    served: list[str], this_node: Node, drivers: Table, pytestconfig: pytest.Config, seen: Seen
) -> None:
    """The drivers named with --driver, and this machine's own; runsc serves exact versions."""
    wanted = [*pytestconfig.getoption("driver"), *filter(None, [this_node.driver])]
    if not wanted:
        not_run(pytestconfig, "workload", "no driver is known: name one with --driver")
    refused = [driver for driver in wanted if driver not in served]
    steps = "; ".join(cause.serving(driver, drivers) for driver in refused)
    assert not refused, f"sandboxes on nodes with {', '.join(refused)} end with EOF; {steps}"
    seen(f"{', '.join(dict.fromkeys(wanted))} among {len(served)}")
