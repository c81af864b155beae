"""The node's driver as a pod sees it: its version, its files, nvidia-smi, and the GPUs' fabric."""

import re
import shlex
from collections.abc import Collection, Iterable
from pathlib import Path

from worker_images.model.drivers.advice import advise
from worker_images.model.drivers.kernel import VERSION, version_in
from worker_images.model.drivers.table import Release, Table, full
from worker_images.node import node
from worker_images.node.place import CommandResult
from worker_images.node.pod.finding import Finding

# Where the driver's files are: of NVIDIA's runtime, and of the device plugins of clouds.
FOLDERS = "/usr/lib/*-linux-gnu /usr/lib64 /usr/lib /usr/local/nvidia/lib64"
SCRIPT = f"""cat {VERSION} 2> /dev/null
for each in {FOLDERS}; do ls -d $each/lib*.so.*.* 2> /dev/null; done
PATH="$PATH:/usr/local/nvidia/bin" command -v nvidia-smi || true"""
LIBRARY = re.compile(r"/(lib[a-z0-9-]+)\.so\.(\d+\.\d+(?:\.\d+)?)$")
CUDA, NVML = REQUIRED = ("libcuda", "libnvidia-ml")
NO_DRIVER = (
    f"no driver version in {VERSION}: the node's driver is not loaded, or the pod has no GPU; load"
    " the driver on the node (nvidia-smi must work there), then recreate the pod"
)
FABRIC = re.compile(r"^\s*Fabric\n\s*State\s*: (.*)\n\s*Status\s*: (.*)$", re.MULTILINE)
NO_FABRIC = "N/A"


def files(text: str) -> tuple[Path, ...]:
    """The libraries in the script's output that belong to a driver."""
    paths = (Path(line) for line in text.splitlines() if LIBRARY.search(line))
    return tuple(sorted({path for path in paths if path.name.split(".so.")[0] in node.LIBRARIES}))


def program(text: str) -> str:
    """The path of nvidia-smi in the script's output; empty without it."""
    return next((line for line in text.splitlines() if line.endswith("/nvidia-smi")), "")


def command(text: str) -> str:
    """The command line of nvidia-smi, with which it finds NVML; empty without the program.

    The loader does not search the folder in which GKE's device plugin mounts the libraries.
    """
    folders = {str(path.parent) for path in files(text) if path.name.startswith(f"{NVML}.so.")}
    path = program(text)
    return f"LD_LIBRARY_PATH={shlex.quote(':'.join(sorted(folders)))} {path}" if path else ""


def loaded(text: str) -> str:
    """The version of the driver in the node's kernel; empty without one."""
    return version_in(text)


def served(
    driver: str, drivers_of_runsc: Collection[str], drivers: Table, architecture: str = ""
) -> Finding:
    """Check that runsc serves the driver."""
    if not driver:
        return Finding(f"no {VERSION}", NO_DRIVER)
    if not drivers_of_runsc:
        return Finding(driver, "runsc lists no drivers; use a worker image that has runsc")
    if full(driver) in drivers_of_runsc:
        return Finding(f"{driver}, one of {len(drivers_of_runsc)} served drivers")
    advice = advise(driver, drivers, _release(drivers_of_runsc, drivers), architecture=architecture)
    return Finding(
        f"{driver}, not one of {len(drivers_of_runsc)} served drivers",
        f"this image's runsc does not serve the node's driver {driver}: sandboxes end with EOF;"
        f" {advice.text}",
    )


def _release(served: Collection[str], drivers: Table) -> Release | None:
    """The newest release with a list of drivers; None if no release has it."""
    rows = reversed(drivers.releases)
    return next((each for each in rows if {*each.supported} == {*served}), None)


def libraries(driver: str, found: Iterable[Path]) -> Finding:
    """Check that libcuda and NVML exist in the driver's version, and in no other."""
    versions = {
        (name, version)
        for name, version in (path.name.split(".so.") for path in found)
        if name in REQUIRED
    }
    names = {name for name, _ in versions}
    seen = ", ".join(".so.".join(each) for each in sorted(versions))
    if missing := [name for name in REQUIRED if name not in names]:
        text = f"no {' and no '.join(missing)}"
        return Finding(
            seen or text,
            f"{text}: the container runtime did not add the driver's files; set runtimeClassName"
            " nvidia and NVIDIA_DRIVER_CAPABILITIES=compute,utility for the pod",
        )
    if not driver:
        return Finding(seen, NO_DRIVER)
    if {version for _, version in versions} != {driver}:
        return Finding(
            f"{seen}; driver {driver}",
            f"the pod has {seen} for the driver {driver}: CUDA works only with files of the same"
            " version; recreate the pod, and remove CUDA compat libraries from the image",
        )
    return Finding(seen)


def listed(result: CommandResult, gpus: int) -> Finding:
    """Compare the list of nvidia-smi -L with the number of devices."""
    text = result.output.strip()
    lines = text.splitlines()
    if result.status:
        reason = result.errors.strip() or text or f"exit status {result.status}"
        return Finding(
            reason,
            f"nvidia-smi fails in the pod: {reason}; this fails without gVisor: check the node's"
            " driver, and that the container runtime adds the whole program",
        )
    parts = [line for line in lines if line.strip().startswith("MIG ")]
    if parts:
        return Finding(
            text,
            "the GPU is divided by MIG, which nvproxy does not support; turn MIG off:"
            " nvidia-smi -mig 0",
        )
    found = sum(line.startswith("GPU ") for line in lines)
    if found != gpus:
        return Finding(
            text or "no GPU",
            f"nvidia-smi lists {found} GPUs, but /dev has {gpus}; this fails without gVisor: check"
            " the node's driver",
        )
    return Finding(text)


def fabric(text: str) -> Finding:
    """Check that the GPUs of a machine with NVSwitch have joined its fabric."""
    found = FABRIC.findall(text)
    seen = "; ".join(f"{state}, {status}" for state, status in found) or "no fabric"
    bad = [each for each in found if each not in {("Completed", "Success"), (NO_FABRIC, NO_FABRIC)}]
    if bad:
        return Finding(
            seen,
            f"the GPU's fabric is {', '.join(bad[0])}: CUDA fails with 802; start"
            " nvidia-fabricmanager of the driver's version on the node",
        )
    return Finding(seen)
