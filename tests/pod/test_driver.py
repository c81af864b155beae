"""Does the node's driver work in the pod without gVisor, and does the pod's runsc serve it?"""

from tests.pod.worker import Worker
from tests.support.runsc_checks import RunRunsc
from worker_images.harness.options import Seen
from worker_images.model.drivers.kernel import architecture_in
from worker_images.model.drivers.table import Table
from worker_images.node.node import GPU
from worker_images.node.pod import devices, driver


def test_runsc_serves_the_node_driver(
    driver_text: str, driver_version: str, run_runsc: RunRunsc, drivers: Table, seen: Seen
) -> None:
    """The exact version is in the list of the pod's runsc."""
    served = run_runsc("nvproxy", "list-supported-drivers").output.split()
    found = driver.served(driver_version, served, drivers, architecture_in(driver_text))
    seen(found.seen)
    assert not found.problem, found.problem


def test_driver_files_match_the_driver(driver_text: str, driver_version: str, seen: Seen) -> None:
    """libcuda and NVML have the version of the kernel's driver."""
    found = driver.libraries(driver_version, driver.files(driver_text))
    seen(found.seen)
    assert not found.problem, found.problem


def test_nvidia_smi_lists_every_gpu(
    worker: Worker, nvidia_smi: str, device_text: str, seen: Seen
) -> None:
    """The control without gVisor: a failure here is the node's."""
    nodes = [name for name in devices.nodes(device_text) if GPU.match(name)]
    found = driver.listed(worker.run(f"{nvidia_smi} -L"), len(nodes))
    seen(found.seen)
    assert not found.problem, found.problem


def test_gpus_have_joined_the_fabric(worker: Worker, nvidia_smi: str, seen: Seen) -> None:
    """GPUs behind an NVSwitch need the fabric manager; others have no fabric."""
    found = driver.fabric(worker.run(f"{nvidia_smi} -q").output)
    seen(found.seen)
    assert not found.problem, found.problem
