"""Which gVisor release is the image's runsc, and does it serve the nodes' drivers?"""

import pytest

from tests.support import runsc_checks
from tests.support.runsc_checks import (  # noqa: F401 - pytest collects them here
    RunRunsc,
    test_nvproxy_flags_are_accepted,
    test_runsc_drivers_match_the_release,
    test_runsc_flags_match_the_release,
    test_unknown_flag_is_refused,
)
from worker_images.harness.options import Seen, not_run
from worker_images.model.drivers.advice import advise
from worker_images.model.drivers.table import Release, Table, full
from worker_images.node.node import Node
from worker_images.node.place import Place, run


@pytest.fixture(scope="module")
def run_runsc(worker: Place) -> RunRunsc:
    """Run the image's runsc."""
    return lambda *words: run(worker, [worker.runsc, *words])


@pytest.fixture(scope="module")
def release(run_runsc: RunRunsc) -> str:
    """The gVisor release that runsc reports."""
    return runsc_checks.reported_name(run_runsc)


@pytest.fixture(scope="module")
def contract(run_runsc: RunRunsc, drivers: Table) -> Release:
    """The drivers of the gVisor release that runsc reports."""
    return runsc_checks.reported(run_runsc, drivers)


def test_node_drivers_are_served(
    run_runsc: RunRunsc,
    this_node: Node,
    drivers: Table,
    pytestconfig: pytest.Config,
    seen: Seen,
) -> None:
    """runsc serves exact versions: those named with --driver, and this machine's."""
    drivers_of_nodes = [*pytestconfig.getoption("driver"), *filter(None, [this_node.driver])]
    if not drivers_of_nodes:
        not_run(pytestconfig, "workload", "no driver to check; name one with --driver")
    served = runsc_checks.served(run_runsc)
    refused = [driver for driver in drivers_of_nodes if full(driver) not in served]
    steps = "; ".join(advise(driver, drivers).text for driver in refused)
    assert not refused, f"sandboxes on nodes with {', '.join(refused)} end with EOF; {steps}"
    seen(f"{', '.join(dict.fromkeys(drivers_of_nodes))}: in a list of {len(served)} drivers")
