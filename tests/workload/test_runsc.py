"""Which gVisor release is the image's runsc, and does it serve the nodes' drivers?"""

import re
from collections.abc import Callable

import pytest

from tests.workload.sandboxes import Seen
from worker_images.harness.options import not_run
from worker_images.model.drivers.table import Table
from worker_images.node import diagnose
from worker_images.node.node import Node
from worker_images.node.place import CommandResult, Place, run

VERSION = re.compile(r"^runsc version release-(\d{8}\.\d+)(\S*)\n")

Runsc = Callable[..., CommandResult]


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


def test_drivers_match_the_reported_release(
    runsc: Runsc, served: list[str], drivers: Table, seen: Seen
) -> None:
    """runsc serves the drivers of the release that it reports; a build can report any release.

    A build from a later commit may serve the drivers of the next release.
    """
    found = runsc("--version").output
    version = VERSION.match(found)
    assert version, f"not the version of a gVisor release: {found}"
    names = [release.name for release in drivers]
    assert version[1] in names, f"drivers.json has no entry for release {version[1]}"
    first = names.index(version[1])
    last = first + 1 if version[2] else first
    expected = [set(release.supported) for release in drivers.releases[first : last + 1]]
    assert set(served) in expected, f"not the drivers of release {version[1]}: {served}"
    seen(f"release-{version[1]}{version[2]}, with that release's {len(served)} drivers")


def test_nvproxy_flag_is_listed(runsc: Runsc, seen: Seen) -> None:
    """`runsc help` lists commands; `runsc flags` lists flags."""
    found = runsc("flags")
    assert "  -nvproxy" in (found.output + found.errors).splitlines()
    seen("-nvproxy")


def test_nvproxy_flag_is_accepted(runsc: Runsc, seen: Seen) -> None:
    """runsc parses flags before the command."""
    found = runsc("--nvproxy", "--version")
    assert found.status == 0, found.errors
    seen(f"--nvproxy: status {found.status}")


def test_unknown_flag_is_refused(runsc: Runsc, seen: Seen) -> None:
    """The control: a runsc that accepts any flag would pass the test above."""
    found = runsc("--no-such-flag", "--version")
    assert found.status == 2
    seen(f"--no-such-flag: status {found.status}")


def test_node_drivers_are_served(
    served: list[str], this_node: Node, drivers: Table, pytestconfig: pytest.Config, seen: Seen
) -> None:
    """runsc serves exact versions: those named with --driver, and this machine's."""
    drivers_of_nodes = [*pytestconfig.getoption("driver"), *filter(None, [this_node.driver])]
    if not drivers_of_nodes:
        not_run(pytestconfig, "workload", "no driver to check; name one with --driver")
    refused = [driver for driver in drivers_of_nodes if driver not in served]
    steps = "; ".join(diagnose.serving(driver, drivers) for driver in refused)
    assert not refused, f"sandboxes on nodes with {', '.join(refused)} end with EOF; {steps}"
    seen(f"{', '.join(dict.fromkeys(drivers_of_nodes))}: in a list of {len(served)} drivers")
