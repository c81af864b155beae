"""Does it fail where it must, and for its own reason? Each control spoils one thing of what
test_sandbox proves.
"""

import dataclasses

from tests.workload.user import Inside, Sandboxes, Seen, facts_of
from worker_images.model.drivers.table import Table, order
from worker_images.node import cause
from worker_images.node.command import INSIDE
from worker_images.node.node import Node
from worker_images.node.place import Bare, run
from worker_images.node.runsc import Outcome

FACTS = f"{INSIDE}/facts.py"
SMI = "nvidia-smi -L && nvidia-smi --query-gpu=driver_version --format=csv,noheader"


def reasons(found: Outcome, drivers: Table) -> dict[str, cause.Cause]:
    """Every known reason by its name."""
    return {reason.name: reason for reason in cause.explain(found.everything, drivers)}


def test_a_runsc_without_the_driver(
    sandboxes: Sandboxes, other_runsc: str, gpu: Node, drivers: Table, seen: Seen
) -> None:
    """The user's text is EOF.

    The log names the driver, the table the first release that serves it.
    """
    older = dataclasses.replace(
        sandboxes,
        place=Bare(other_runsc, f"{sandboxes.folder}/beside"),
        rootfs=f"{sandboxes.folder}/beside/root",
    )
    found = older("/bin/true")
    assert found.status != 0
    assert "EOF" in found.errors
    assert f"unsupported Nvidia driver version: {gpu.driver}" in found.log
    assert "unsupported" not in found.errors
    reason = reasons(found, drivers)["unserved driver"]
    seen(f"{found.errors} | {reason.line} | {reason.step}")
    first = drivers.serving(gpu.driver)[0].name
    assert f"gVisor serves {gpu.driver} from {first} on" in reason.step


def test_a_forced_abi_that_only_nvidia_smi_takes(
    sandboxes: Sandboxes, other_runsc: str, python: str, gpu: Node, drivers: Table, seen: Seen
) -> None:
    """nvidia-smi passes with the wrong ABI; a kernel must be asked for."""
    older = dataclasses.replace(
        sandboxes,
        place=Bare(other_runsc, f"{sandboxes.folder}/beside"),
        rootfs=f"{sandboxes.folder}/beside/root",
    )
    smi = older("/bin/sh", "-c", SMI, flags=["--nvproxy-driver-version=latest"])
    assert (smi.status, smi.output.split()[-1]) == (0, gpu.driver)
    found = older(python, FACTS, "driver", flags=["--nvproxy-driver-version=latest"])
    assert "CUDA_ERROR" in facts_of(found).error("driver")
    assert "wrong ABI" in reasons(found, drivers)
    seen(
        f"nvidia-smi {smi.output} | {facts_of(found).error('driver')} |"
        f" {reasons(found, drivers)['wrong ABI'].line}"
    )


def test_the_oldest_abi_of_the_images_own_runsc(
    sandboxes: Sandboxes, python: str, gpu: Node, drivers: Table, seen: Seen
) -> None:
    """Forced where it is another driver's: nvidia-smi ends well and sees nothing, CUDA says why
    not.
    """
    served = run(sandboxes.place, [sandboxes.place.runsc, "nvproxy", "list-supported-drivers"])
    oldest = min(served.output.split(), key=order)
    assert oldest.partition(".")[0] < gpu.driver.partition(".")[0]
    flags = [f"--nvproxy-driver-version={oldest}"]
    assert sandboxes("nvidia-smi", "-L", flags=flags).status == 0
    found = sandboxes(python, FACTS, "driver", flags=flags)
    assert "cuInit: 801 CUDA_ERROR_NOT_SUPPORTED" in facts_of(found).error("driver")
    assert "wrong ABI" in reasons(found, drivers)
    seen(
        f"{oldest}: {facts_of(found).error('driver')} | {reasons(found, drivers)['wrong ABI'].line}"
    )


def test_without_the_drivers_files(
    sandboxes: Sandboxes, python: str, gpu: Node, drivers: Table, seen: Seen
) -> None:
    """The requirements' claim that a user's image brings libcuda, falsified: the devices alone are
    not enough.
    """
    found = sandboxes(
        python,
        FACTS,
        "driver",
        "devices",
        given=dataclasses.replace(gpu, libraries=(), programs=()),
    )
    facts = facts_of(found)
    assert set(facts["devices"]) == {device.name for device in gpu.devices}
    assert "libcuda.so.1: cannot open shared object file" in facts.error("driver")
    assert "no libcuda" in reasons(found, drivers)
    seen(facts.error("driver"))


def test_without_devices(sandboxes: Sandboxes, python: str, drivers: Table, seen: Seen) -> None:
    """The driver's files alone are not enough."""
    found = sandboxes(python, FACTS, "driver", "devices", "smi", gpus="none")
    facts = facts_of(found)
    assert facts["devices"] == {}
    assert "cuInit: 100 CUDA_ERROR_NO_DEVICE" in facts.error("driver")
    assert facts["smi"]["list"]["status"] != 0
    assert "no GPU" in reasons(found, drivers)
    seen(facts.error("driver"))


def test_the_controls_fail_by_themselves_alone(inside: Inside, drivers: Table) -> None:
    """The control of the controls: nothing is explained where nothing failed."""
    assert inside.facts["driver"]["added"] is True
    assert not reasons(inside.outcome, drivers)
