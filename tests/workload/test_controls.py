"""Does each control fail for the expected reason, with one thing wrong?"""

import dataclasses

from tests.workload.sandboxes import Sandboxes, SandboxRun, Seen, facts_of
from worker_images.model.drivers.table import Table, order
from worker_images.node.command import PROBES_MOUNT
from worker_images.node.explain import diagnose
from worker_images.node.explain.cause import Cause
from worker_images.node.node import Node
from worker_images.node.place import Host, run
from worker_images.node.runsc import SandboxResult

FACTS = f"{PROBES_MOUNT}/facts.py"
SMI = "nvidia-smi -L && nvidia-smi --query-gpu=driver_version --format=csv,noheader"


def causes(found: SandboxResult, drivers: Table) -> dict[str, Cause]:
    """Return every known cause by its name."""
    return {cause.name: cause for cause in diagnose.explain(found.all_output, drivers)}


def test_runsc_refuses_driver_newer_than_its_list(
    sandboxes: Sandboxes, other_runsc: str, gpu: Node, drivers: Table, seen: Seen
) -> None:
    """The user sees EOF; explain names the driver and the releases that serve it."""
    older = dataclasses.replace(
        sandboxes,
        place=Host(other_runsc, f"{sandboxes.folder}/host-mounts"),
        rootfs=f"{sandboxes.folder}/host-mounts/root",
    )
    found = older("/bin/true")
    assert found.status != 0
    assert "EOF" in found.errors
    assert f"unsupported Nvidia driver version: {gpu.driver}" in found.log
    assert "unsupported" not in found.errors
    cause = causes(found, drivers)["unserved driver"]
    seen(f"{found.errors} | {cause.line} | {cause.step}")
    first = drivers.serving(gpu.driver)[0].name
    assert f"gVisor releases {first} to " in cause.step


def test_forced_abi_passes_nvidia_smi_but_fails_cuda(
    sandboxes: Sandboxes, other_runsc: str, python: str, gpu: Node, drivers: Table, seen: Seen
) -> None:
    """nvidia-smi works with the wrong ABI, so only a CUDA kernel shows the failure."""
    older = dataclasses.replace(
        sandboxes,
        place=Host(other_runsc, f"{sandboxes.folder}/host-mounts"),
        rootfs=f"{sandboxes.folder}/host-mounts/root",
    )
    smi = older("/bin/sh", "-c", SMI, flags=["--nvproxy-driver-version=latest"])
    assert (smi.status, smi.output.split()[-1]) == (0, gpu.driver)
    found = older(python, FACTS, "driver", flags=["--nvproxy-driver-version=latest"])
    assert "CUDA_ERROR" in facts_of(found).error("driver")
    assert "wrong ABI" in causes(found, drivers)
    seen(
        f"nvidia-smi {smi.output} | {facts_of(found).error('driver')} |"
        f" {causes(found, drivers)['wrong ABI'].line}"
    )


def test_oldest_abi_fails_cuda_with_the_image_runsc(
    sandboxes: Sandboxes, python: str, gpu: Node, drivers: Table, seen: Seen
) -> None:
    """nvidia-smi exits with 0 and lists no GPU; CUDA reports the error."""
    served = run(sandboxes.place, [sandboxes.place.runsc, "nvproxy", "list-supported-drivers"])
    oldest = min(served.output.split(), key=order)
    assert oldest.partition(".")[0] < gpu.driver.partition(".")[0]
    flags = [f"--nvproxy-driver-version={oldest}"]
    assert sandboxes("nvidia-smi", "-L", flags=flags).status == 0
    found = sandboxes(python, FACTS, "driver", flags=flags)
    assert "cuInit: 801 CUDA_ERROR_NOT_SUPPORTED" in facts_of(found).error("driver")
    assert "wrong ABI" in causes(found, drivers)
    seen(
        f"{oldest}: {facts_of(found).error('driver')} | {causes(found, drivers)['wrong ABI'].line}"
    )


def test_cuda_fails_without_driver_files(
    sandboxes: Sandboxes, python: str, gpu: Node, drivers: Table, seen: Seen
) -> None:
    """Devices alone are not enough: the user's image does not contain libcuda."""
    found = sandboxes(
        python,
        FACTS,
        "driver",
        "devices",
        node=dataclasses.replace(gpu, libraries=(), programs=()),
    )
    facts = facts_of(found)
    assert set(facts["devices"]) == {device.name for device in gpu.devices}
    assert "libcuda.so.1: cannot open shared object file" in facts.error("driver")
    assert "no libcuda" in causes(found, drivers)
    seen(facts.error("driver"))


def test_cuda_fails_without_devices(
    sandboxes: Sandboxes, python: str, drivers: Table, seen: Seen
) -> None:
    """Driver files alone are not enough."""
    found = sandboxes(python, FACTS, "driver", "devices", "smi", gpus="none")
    facts = facts_of(found)
    assert facts["devices"] == {}
    assert "cuInit: 100 CUDA_ERROR_NO_DEVICE" in facts.error("driver")
    assert facts["smi"]["list"]["status"] != 0
    assert "no GPU" in causes(found, drivers)
    seen(facts.error("driver"))


def test_working_sandbox_has_no_known_cause(sandboxed: SandboxRun, drivers: Table) -> None:
    """The control of explain: it finds no cause in the log of a working sandbox."""
    assert sandboxed.facts["driver"]["added"] is True
    assert not causes(sandboxed.result, drivers)
