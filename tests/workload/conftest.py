"""Sandboxes of the judged image's own runsc, on a GPU where there is one, and with stand-in devices
where there is none.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import stand_in
from tests.workload.user import PROBES, Facts, Inside, Sandboxes, Wiring, facts_of
from worker_images.harness.options import not_run
from worker_images.model.drivers import table
from worker_images.model.drivers.kernel import NO_DRIVER
from worker_images.model.drivers.table import DRIVERS, Table
from worker_images.node import node, place
from worker_images.node.command import INSIDE
from worker_images.node.node import Node
from worker_images.node.place import Place
from worker_images.node.unpack import root_of

ROOT = Path(__file__).resolve().parent.parent.parent
collect_ignore = ["probes"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is a matter of another variant."""
    marks = [
        (item, item.get_closest_marker("variant"))
        for item in items
        if item.path.is_relative_to(Path(__file__).parent)
    ]
    left_out = [
        item for item, mark in marks if mark and mark.args[0] != config.getoption("variant")
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def drivers() -> Table:
    """Which gVisor release serves which driver."""
    return table.read(ROOT / DRIVERS)


@pytest.fixture
def seen(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """What a check saw, in one line: the evidence that goes into the results."""
    return lambda text: record_property("seen", " ".join(text.split()))


@pytest.fixture(scope="session")
def this_node() -> Node:
    """The machine, GPU or none."""
    return node.read()


@pytest.fixture(scope="session")
def gpu(this_node: Node, pytestconfig: pytest.Config) -> Node:
    """The machine's GPU."""
    if not this_node.driver:
        not_run(pytestconfig, "workload", NO_DRIVER)
    return this_node


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder that other users may pass through, with the probes in it.

    Its device nodes go with it.
    """
    with tempfile.TemporaryDirectory(prefix="workload-") as made:
        Path(made).chmod(0o711)
        shutil.copytree(PROBES, Path(made) / PROBES.name)
        yield Path(made)


@pytest.fixture(scope="session")
def image_root(
    folder: Path,
    pytestconfig: pytest.Config,
    record_testsuite_property: Callable[[str, object], None],
) -> Path:
    """The image's root, unpacked."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        not_run(
            pytestconfig, "workload", "entering an image's root needs root and the program unshare"
        )
    variant = pytestconfig.getoption("variant")
    named = Path(pytestconfig.getoption("image") or ROOT / "out" / str(variant) / "image.tar")
    (folder / "image").mkdir()
    root, identity = root_of(named, folder / "image")
    if identity and pytestconfig.getoption("place") == "unpacked":
        record_testsuite_property("image_id", identity)
    return root


@pytest.fixture(scope="session")
def wiring(this_node: Node, folder: Path) -> Wiring:
    """The GPU, or stand-ins of a driver that the image's runsc serves."""
    if this_node.driver:
        return Wiring(real=True, node=this_node, devices=Path("/dev"), flags=())
    devices = stand_in.devices(folder / "dev")
    found = stand_in.node_with(devices, folder / "lib")
    return Wiring(
        real=False, node=found, devices=devices, flags=(f"--nvproxy-driver-version={found.driver}",)
    )


@pytest.fixture(scope="session")
def worker(wiring: Wiring, image_root: Path, pytestconfig: pytest.Config) -> Iterator[Place]:
    """Where the image's runsc runs, with the devices."""
    if pytestconfig.getoption("place") == "unpacked":
        yield place.Unpacked(image_root, wiring.devices)
        return
    nodes = [(str(wiring.devices / device.name), device.path) for device in wiring.node.devices]
    docker = os.environ.get("WORKER_DOCKER", "docker")
    with place.container(f"worker:{pytestconfig.getoption('variant')}", nodes, docker) as found:
        yield found


@pytest.fixture(scope="session")
def wired(wiring: Wiring, worker: Place, image_root: Path, folder: Path) -> Sandboxes:
    """Sandboxes whose container has the image's own root: it holds a shell, and needs no GPU."""
    return Sandboxes(worker, wiring.node, folder, f"{worker.host}{image_root}", wiring.flags)


@pytest.fixture(scope="session")
def python(gpu: Node, pytestconfig: pytest.Config) -> str:
    """The user's python, on the node and in the container alike."""
    assert gpu
    return str(pytestconfig.getoption("python"))


@pytest.fixture(scope="session")
def sandboxes(gpu: Node, worker: Place, folder: Path) -> Sandboxes:
    """Sandboxes whose container has the node's own root, without what is mounted in it."""
    return Sandboxes(worker, gpu, folder, worker.user)


@pytest.fixture(scope="session")
def other_runsc(pytestconfig: pytest.Config) -> str:
    """A runsc from before the node's driver."""
    found = pytestconfig.getoption("other_runsc")
    if not found:
        not_run(pytestconfig, "workload", "no older runsc is given: --other-runsc FILE")
    return str(found)


@pytest.fixture(scope="session")
def native(gpu: Node, python: str) -> Facts:
    """What a program sees on the node itself: where this fails, node or driver is at fault, not
    gVisor.
    """
    return facts_of(place.answer(["env", *gpu.native, python, str(PROBES / "facts.py")]))


@pytest.fixture(scope="session")
def inside(native: Facts, sandboxes: Sandboxes, python: str) -> Inside:
    """The same program in the sandbox, after the control."""
    assert native
    outcome = sandboxes(python, f"{INSIDE}/facts.py")
    return Inside(facts_of(outcome), outcome)
