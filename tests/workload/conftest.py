"""Fixtures: sandboxes of the tested image's runsc, with a GPU or with stand-in devices."""

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.workload.checkpoints import Checkpoints, program_of
from tests.workload.sandboxes import PROBES, Facts, Sandboxes, SandboxRun, Wiring, facts_of
from worker_images.harness.options import leave_out, not_run, require_trust
from worker_images.model.drivers import table
from worker_images.model.drivers.kernel import NO_DRIVER
from worker_images.model.drivers.table import DRIVERS, Table
from worker_images.node import node, place, spec, stand_in, trust
from worker_images.node.command import PROBES_MOUNT
from worker_images.node.measure.metrics import NO_TORCH, ONE_GPU
from worker_images.node.node import FRONTEND_MAJOR, Node
from worker_images.node.place import Place, RunningContainer
from worker_images.node.pod import kubectl, request
from worker_images.node.pod import place as pods
from worker_images.node.pod.kubectl import Pod
from worker_images.node.pod.objects import container_of, status_of
from worker_images.node.unpack import open_root

ROOT = Path(__file__).resolve().parent.parent.parent
TWO_GPUS = (*stand_in.STANDARD, *stand_in.NVIDIA, ("nvidia1", FRONTEND_MAJOR, 1))
collect_ignore = ["probes"]
POD = "pod"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests of another variant."""
    marks = [
        (item, item.get_closest_marker("variant"))
        for item in items
        if item.path.is_relative_to(Path(__file__).parent)
    ]
    deselected = [
        item for item, mark in marks if mark and mark.args[0] != config.getoption("variant")
    ]
    if config.getoption("place") == POD:
        deselected += [item for item, _ in marks if item.get_closest_marker("not_in_a_pod")]
    leave_out(config, items, deselected)


@pytest.fixture(scope="session")
def drivers() -> Table:
    """The table of gVisor releases and the drivers that they serve."""
    return table.read(ROOT / DRIVERS)


@pytest.fixture(scope="session")
def pod(folder: Path, pytestconfig: pytest.Config) -> RunningContainer | None:
    """The pod in which runsc runs, if one is named."""
    if pytestconfig.getoption("place") != POD:
        return None
    return pods.of(Pod.of(pytestconfig.getoption), folder)


@pytest.fixture(scope="session")
def this_node(pod: RunningContainer | None) -> Node:
    """This machine, with or without a GPU; with a pod, its GPUs alone."""
    found = node.read()
    if not pod or not found.driver:
        return found
    names = pods.devices(pod)
    owned = tuple(device for device in found.devices if device.name in names)
    minors = {device.minor for device in owned}
    cards = tuple(card for card in found.cards if card.minor in minors)
    return dataclasses.replace(found, devices=owned, cards=cards)


@pytest.fixture(scope="session")
def gpu(this_node: Node, pytestconfig: pytest.Config) -> Node:
    """This machine, which has a GPU."""
    if not this_node.driver:
        not_run(pytestconfig, "workload", NO_DRIVER)
    return this_node


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder with the probes, which other users can search; it is removed with its devices."""
    with tempfile.TemporaryDirectory(prefix="workload-") as path:
        Path(path).chmod(0o711)
        shutil.copytree(PROBES, Path(path) / PROBES.name)
        yield Path(path)


@pytest.fixture(scope="session")
def image_root(
    folder: Path,
    this_node: Node,
    pod: RunningContainer | None,
    pytestconfig: pytest.Config,
    record_testsuite_property: Callable[[str, object], None],
) -> Path:
    """The image's unpacked root."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        not_run(
            pytestconfig,
            "workload",
            "entering an image's root filesystem requires root and the program unshare",
        )
    variant = pytestconfig.getoption("variant")
    home: Path = pytestconfig.getoption("project")
    image = Path(pytestconfig.getoption("image") or home / "out" / str(variant) / "image.tar")
    (folder / "image").mkdir()
    if pod:
        check_image(pytestconfig, image)
    root, image_id = open_root(image, folder / "image")
    require_trust(pytestconfig, "workload", home, image_id)
    if image_id and pytestconfig.getoption("place") in {"unpacked", POD}:
        record_testsuite_property("image_id", image_id)
        record_testsuite_property("manifest_digest", trust.digests(image)[0])
        where = ", in a pod" if pod else ""
        record_testsuite_property("machine", this_node.machine and f"{this_node.machine}{where}")
    return root


def check_image(config: pytest.Config, image: Path) -> None:
    """Fail unless the pod runs the image of an archive."""
    named, found = kubectl.find(Pod.of(config.getoption))
    container = container_of(found, named.container)
    status = status_of(found, named.container)
    problem = request.image(trust.digests(image), container, status).problem
    assert not problem, problem


@pytest.fixture(scope="session")
def wiring(this_node: Node, folder: Path, pod: RunningContainer | None) -> Wiring:
    """The GPUs, or stand-ins with a driver that the image's runsc serves: two, or the pod's."""
    if this_node.driver:
        return Wiring(real=True, node=this_node, devices=Path("/dev"), flags=())
    names = pods.devices(pod) if pod else {name for name, _, _ in TWO_GPUS}
    owned = [each for each in TWO_GPUS if each[0] in names]
    devices = stand_in.devices(folder / "dev", owned)
    fake = stand_in.node_with(devices, folder / "lib")
    return Wiring(
        real=False, node=fake, devices=devices, flags=(f"--nvproxy-driver-version={fake.driver}",)
    )


@pytest.fixture(scope="session")
def worker(
    wiring: Wiring, image_root: Path, pod: RunningContainer | None, pytestconfig: pytest.Config
) -> Iterator[Place]:
    """The place where the image's runsc runs, with the devices."""
    if pod:
        # runsc of another user than root cannot create mount points.
        for path in (spec.DRIVER, PROBES_MOUNT):
            (image_root / path[1:]).mkdir(exist_ok=True)
        for device in wiring.node.devices:
            (image_root / device.path[1:]).touch()
        yield pod
        return
    if pytestconfig.getoption("place") == "unpacked":
        yield place.Chroot(image_root, wiring.devices)
        return
    nodes = [(str(wiring.devices / device.name), device.path) for device in wiring.node.devices]
    docker = os.environ.get("WORKER_DOCKER", "docker")
    image = f"worker:{pytestconfig.getoption('variant')}"
    home: Path = pytestconfig.getoption("project")
    require_trust(pytestconfig, "workload", home, trust.engine_id(image, docker))
    with place.start_container(image, nodes, docker) as container:
        yield container


@pytest.fixture(scope="session")
def image_sandboxes(wiring: Wiring, worker: Place, image_root: Path, folder: Path) -> Sandboxes:
    """Sandboxes with the image's root: it contains a shell, and they need no GPU."""
    return Sandboxes(worker, wiring.node, folder, f"{worker.host}{image_root}", wiring.flags)


@pytest.fixture(scope="session")
def python(gpu: Node, pytestconfig: pytest.Config) -> str:
    """The user's python, at the same path on the node and in the container."""
    assert gpu
    return str(pytestconfig.getoption("python"))


@pytest.fixture(scope="session")
def root_python(worker: Place, pytestconfig: pytest.Config) -> str:
    """The user's python, if the node's root has it without its mounts; needs no GPU."""
    python = pytestconfig.getoption("python") or "/no-python"
    path = f"{worker.clean_root}{python}"
    # It may be a link to a path of the node, which leads nowhere in the worker.
    if place.run(worker, ["sh", "-c", 'test -e "$1" || test -L "$1"', "sh", path]).status:
        not_run(pytestconfig, "workload", f"{worker.name} has no {path}")
    return str(python)


@pytest.fixture(scope="session")
def sandboxes(gpu: Node, worker: Place, folder: Path) -> Sandboxes:
    """Sandboxes with the node's root, without its mounts."""
    return Sandboxes(worker, gpu, folder, worker.clean_root)


@pytest.fixture(scope="session")
def other_runsc(pytestconfig: pytest.Config) -> str:
    """An older runsc that does not serve the node's driver."""
    path = pytestconfig.getoption("other_runsc")
    if not path:
        not_run(pytestconfig, "workload", "no older runsc; name one with --other-runsc FILE")
    return str(path)


@pytest.fixture(scope="session")
def native(gpu: Node, python: str) -> Facts:
    """Facts that a program reports on the node; a failure here is not gVisor's."""
    return facts_of(
        place.run_command(["env", *gpu.native_environment, python, str(PROBES / "facts.py")])
    )


@pytest.fixture(scope="session")
def sandboxed(native: Facts, sandboxes: Sandboxes, python: str) -> SandboxRun:
    """Facts that the same program reports in a sandbox; the run on the node is the control."""
    assert native
    result = sandboxes(python, f"{PROBES_MOUNT}/facts.py")
    return SandboxRun(facts_of(result), result)


@pytest.fixture
def torch(native: Facts, pytestconfig: pytest.Config) -> Facts:
    """The node's facts with torch; the container uses the same Python."""
    if "ModuleNotFoundError" in native.error("torch"):
        not_run(pytestconfig, "workload", NO_TORCH)
    return native


@pytest.fixture
def checkpoints(sandboxes: Sandboxes, image_root: Path) -> Checkpoints:
    """Sandboxes with GPUs that can be saved."""
    return Checkpoints(sandboxes, program_of(image_root))


@pytest.fixture
def two_gpus(gpu: Node, pytestconfig: pytest.Config) -> Node:
    """This machine, which has several GPUs."""
    if len(gpu.gpus) < 2:
        not_run(pytestconfig, "gpus", ONE_GPU)
    return gpu
