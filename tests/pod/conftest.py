"""Fixtures: the worker's pod, which --context, --namespace and --pod name."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pod import sandboxes
from tests.pod.sandboxes import Sandboxes
from tests.pod.worker import Worker
from tests.support import runsc_checks
from worker_images.errors import EngineError
from worker_images.files import ROOT
from worker_images.harness.options import not_run
from worker_images.model.drivers import fleet, table
from worker_images.model.drivers.table import DRIVERS, Release, Table
from worker_images.node import trust
from worker_images.node.node import Device, Node
from worker_images.node.place import RUNSC, PlaceError
from worker_images.node.pod import devices, driver, kubectl, permissions, request
from worker_images.node.pod.kubectl import Pod
from worker_images.node.pod.permissions import Permissions
from worker_images.node.pod.request import DIGEST, Request

WORKER = pytest.StashKey[Worker]()
NO_DRIVER = "a stand-in has no driver behind it"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Find the pod before the first check; without it the run ends with an error."""
    config, here = session.config, Path(__file__).parent
    if config.option.collectonly or not any(each.path.parent == here for each in session.items):
        return
    if not config.getoption("context"):
        raise pytest.UsageError("name a worker's pod: --context CTX --namespace NS --pod POD")
    named = str(config.getoption("image") or "")
    if named and not Path(named).exists() and not DIGEST.search(named):
        raise pytest.UsageError(
            f"--image {named}: no such file, and no digest; name an archive, or REF@sha256:..."
        )
    try:
        worker = Worker(*kubectl.find(Pod.of(config.getoption)))
        worker.check_alive()
    except PlaceError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[WORKER] = worker


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a check before it begins if the container has ended; its shell ends with it."""
    item.config.stash[WORKER].check_alive()


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Fail a check in which the container ended."""
    item.config.stash[WORKER].check_alive()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End with an error, not with failed checks, if the shell was lost."""
    if worker := session.config.stash.get(WORKER, None):
        worker.close()
        if worker.lost:
            session.exitstatus = EngineError.exit_code


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the error once, in full."""
    worker = terminalreporter.config.stash.get(WORKER, None)
    if worker and worker.lost:
        terminalreporter.write_line(f"ERROR: {worker.lost}", red=True)


@pytest.fixture(scope="session")
def worker(
    pytestconfig: pytest.Config, record_testsuite_property: Callable[[str, object], None]
) -> Worker:
    """The pod and the shell in its container; the results name the image that it runs."""
    found = pytestconfig.stash[WORKER]
    record_testsuite_property("pod", f"{found.pod.context}/{found.pod.namespace}/{found.pod.name}")
    record_testsuite_property("image", found.status.get("imageID", ""))
    archive = Path(str(pytestconfig.getoption("image") or ""))
    if archive.is_file():
        # A check compares them with the pod's.
        manifest, *_, image_id = trust.digests(archive)
        record_testsuite_property("image_id", image_id)
        record_testsuite_property("manifest_digest", manifest)
    return found


@pytest.fixture(scope="session")
def stand_in(pytestconfig: pytest.Config) -> bool:
    """Whether the devices are stand-ins, without a driver behind them."""
    return bool(pytestconfig.getoption("stand_in"))


@pytest.fixture(scope="session")
def drivers() -> Table:
    """The table of gVisor releases and the drivers that they serve."""
    return table.read(ROOT / DRIVERS)


@pytest.fixture(scope="session")
def gpu_request(worker: Worker) -> Request:
    """The GPUs that the container requests."""
    return request.request_of(worker.container)


@pytest.fixture(scope="session")
def device_text(worker: Worker) -> str:
    """The device nodes, as the pod shows them."""
    return worker.run(devices.SCRIPT).output


@pytest.fixture(scope="session")
def driver_text(worker: Worker) -> str:
    """The driver's version, files and program, as the pod shows them."""
    return worker.run(driver.SCRIPT).output


@pytest.fixture(scope="session")
def driver_version(
    worker: Worker,
    driver_text: str,
    stand_in: bool,
    record_testsuite_property: Callable[[str, object], None],
) -> str:
    """The version of the node's driver; of a stand-in, the version in the node's label."""
    if not stand_in:
        version = driver.loaded(driver_text)
        record_testsuite_property("machine", f"driver {version or 'none'}, in a pod")
        return version
    found = worker.pod.get("node", worker.found["spec"]["nodeName"])
    return fleet.labelled(found["metadata"].get("labels", {}))


@pytest.fixture(scope="session")
def nvidia_smi(pytestconfig: pytest.Config, driver_text: str, stand_in: bool) -> str:
    """The command line of nvidia-smi in the pod."""
    if stand_in:
        not_run(pytestconfig, "pod", NO_DRIVER)
    found = driver.command(driver_text)
    if not found:
        reason = "no nvidia-smi in the pod; NVIDIA_DRIVER_CAPABILITIES=compute,utility adds it"
        not_run(pytestconfig, "pod", reason)
    return found


@pytest.fixture(scope="session")
def pod_permissions(worker: Worker) -> Permissions:
    """The permissions of the container."""
    return permissions.read(worker.run(permissions.SCRIPT).output)


@pytest.fixture(scope="session")
def run_runsc(worker: Worker) -> runsc_checks.RunRunsc:
    """Run the pod's runsc."""
    return lambda *words: worker.run(f"{RUNSC} {' '.join(words)}")


@pytest.fixture(scope="session")
def contract(run_runsc: runsc_checks.RunRunsc, drivers: Table) -> Release:
    """The drivers of the gVisor release that runsc reports."""
    return runsc_checks.reported(run_runsc, drivers)


@pytest.fixture(scope="session")
def release(run_runsc: runsc_checks.RunRunsc) -> str:
    """The gVisor release that runsc reports."""
    return runsc_checks.reported_name(run_runsc)


@pytest.fixture(scope="session")
def pod_sandboxes(
    worker: Worker,
    device_text: str,
    driver_text: str,
    driver_version: str,
    pod_permissions: Permissions,
    stand_in: bool,
) -> Iterator[Sandboxes]:
    """Sandboxes with the pod's devices and driver files."""
    found = tuple(
        Device(f"/dev/{each.name}", each.major, each.minor)
        for each in devices.nodes(device_text).values()
        if each.is_device
    )
    libraries = tuple(
        path for path in driver.files(driver_text) if path.name.endswith(f".so.{driver_version}")
    )
    programs = tuple(filter(None, [driver.program(driver_text)]))
    gpu = Node(driver_version, found, libraries, tuple(map(Path, programs)), "the pod")
    flags = (f"--nvproxy-driver-version={driver_version}",) if stand_in else ()
    folder = sandboxes.make_folder(worker)
    yield Sandboxes(worker, gpu, folder, pod_permissions, flags)
    if not worker.lost:
        worker.run(f"rm -rf {folder}")
