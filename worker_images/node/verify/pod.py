"""Probes of the worker's pod: its specification in Kubernetes, and what the pod has.

No test layer checks pods yet, so each probe returns the result of its row.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from worker_images.model.drivers.kernel import version_in
from worker_images.model.results import FAILED, PASSED, Result
from worker_images.node import diagnose
from worker_images.node.place import CommandResult, PlaceError
from worker_images.node.verify.devices import COUNT, DEVICES, devices, gpu_count, limit
from worker_images.node.verify.rights import RIGHTS, rights
from worker_images.node.verify.target import Target, explain_failure, last_line, shell

CLASS = "nvidia"
BOOT = "runsc --rootless --network=none --ignore-cgroups do cat /proc/version"
DRIVER = "cat /proc/driver/nvidia/version; runsc nvproxy list-supported-drivers"
FOLDERS = "/usr/lib/*-linux-gnu /usr/lib64 /usr/lib /usr/local/nvidia/lib64"
LIBRARIES = f"""cat /proc/driver/nvidia/version
for each in {FOLDERS}; do ls -d $each/libcuda.so.*.* $each/libnvidia-ml.so.*.*; done"""
VISIBLE = 'echo "${NVIDIA_VISIBLE_DEVICES-unset}"'
NO_DRIVER = (
    "no driver version in /proc/driver/nvidia: the node's driver is not loaded, or the pod has no"
    " GPU"
)
LOAD = "load the driver on the node (nvidia-smi must work there), then recreate the pod"
DRIVER_LINE = re.compile(r"^\d{3}\.\d{2,3}\.\d{2}$", re.MULTILINE)
LIBRARY = re.compile(r"/(libcuda|libnvidia-ml)\.so\.(\d+\.\d+(?:\.\d+)?)$", re.MULTILINE)
REQUIRED = ("libcuda", "libnvidia-ml")
FULL_GPUS = re.compile(r"(?:\d+|GPU-[^,]+)(?:,(?:\d+|GPU-[^,]+))*")
NO_GPU = ("", "void", "none")


@dataclass(frozen=True)
class Probe:
    """A command line for a shell in the pod, and a function that evaluates its output."""

    line: str
    evaluate: Callable[[Target, CommandResult], Result]

    def result(self, target: Target) -> Result:
        """Run the probe; a pod that does not respond fails."""
        try:
            found = shell(target.place, self.line) if self.line else CommandResult(0, "", "")
            return self.evaluate(target, found)
        except PlaceError as error:
            return Result(FAILED, "no response", str(error), "fix this and retry")


def runtime_class(target: Target, _: CommandResult) -> Result:
    """Check that the RuntimeClass exists, and that the pod has it and a limit."""
    assert target.cluster
    pod = target.cluster.get("pod", target.cluster.pod)
    handler = target.cluster.get("runtimeclass", CLASS)["handler"]
    named = pod["spec"].get("runtimeClassName", "none")
    gpus = limit(pod)
    seen = f"handler {handler}; the pod has runtimeClassName {named} and nvidia.com/gpu {gpus}"
    if handler != CLASS:
        reason = f"RuntimeClass {CLASS} has handler {handler}, not NVIDIA's runtime"
        return Result(FAILED, seen, reason, f"set its handler to {CLASS}")
    if named != CLASS:
        reason = "the pod uses another runtime, which does not add the driver"
        return Result(FAILED, seen, reason, f"set runtimeClassName: {CLASS}")
    if not gpus:
        reason = "the pod requests no GPU"
        return Result(FAILED, seen, reason, "set resources.limits: nvidia.com/gpu: 1")
    return Result(PASSED, seen)


def driver(target: Target, found: CommandResult) -> Result:
    """Check that runsc in the pod serves the kernel driver's version."""
    version = version_in(found.output)
    served = DRIVER_LINE.findall(found.output)
    if not version:
        return Result(FAILED, "no /proc/driver/nvidia/version", NO_DRIVER, LOAD)
    if version in served:
        return Result(PASSED, f"{version}, one of {len(served)} served drivers")
    reason = f"runsc does not serve {version}: sandboxes end with EOF"
    if not served:
        reason = "runsc printed no list of drivers"
    step = diagnose.serving(version, target.table)
    return Result(FAILED, f"{version}, not one of {len(served)} served drivers", reason, step)


def libraries(target: Target, found: CommandResult) -> Result:
    """Check that libcuda and NVML exist in the kernel driver's version, and in no other."""
    version = version_in(found.output)
    text = found.output
    if target.node:
        version = target.node.driver
        text = "\n".join(map(str, target.node.libraries))
    files = sorted(set(LIBRARY.findall(text)))
    names = {name for name, _ in files}
    versions = {each for _, each in files}
    seen = ", ".join(".so.".join(file) for file in files)
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        reason, step = _why_missing(target)
        missing_text = f"no {' and no '.join(missing)}"
        return Result(FAILED, seen or missing_text, f"{missing_text}: {reason}", step)
    if not version:
        return Result(FAILED, seen, NO_DRIVER, LOAD)
    if versions != {version}:
        reason = "CUDA and NVML do not work with a driver of another version"
        return Result(FAILED, f"{seen}; driver {version}", reason, "recreate the pod")
    return Result(PASSED, seen)


def _why_missing(target: Target) -> tuple[str, str]:
    if target.cluster:
        return (
            "the container runtime did not add the driver's files",
            (
                f"set runtimeClassName {CLASS} and NVIDIA_DRIVER_CAPABILITIES=compute,utility for"
                " the pod"
            ),
        )
    return (
        "this machine has no files of its driver's version",
        "install the driver's libraries of the same version as its kernel module",
    )


def visible_devices(_: Target, found: CommandResult) -> Result:
    """Check that the variable names full GPUs, by number or UUID."""
    value = found.output.strip()
    if value == "unset":
        return Result(PASSED, "not set: the device plugin does not add GPUs by this variable")
    if FULL_GPUS.fullmatch(value):
        return Result(PASSED, value)
    reason = f"{value}: nvproxy supports only full GPUs, by number or GPU-…, and no MIG"
    if value in NO_GPU:
        reason = f"{value or 'empty'}: the runtime adds no GPU"
    if value == "all":
        reason = "all: every GPU of the node, regardless of the limit; the image or the pod sets it"
    step = "do not set the variable, the device plugin does; assign full GPUs to these nodes"
    return Result(FAILED, value or "empty", reason, step)


def boots(target: Target, found: CommandResult) -> Result:
    """Check that a sandbox starts and runs gVisor's kernel."""
    if found.status == 0 and "gvisor" in found.output:
        return Result(PASSED, found.output.strip())
    text = f"{found.output}\n{found.errors}"
    reason, step = explain_failure(text, target.table)
    return Result(FAILED, last_line(text), reason, step)


# By their names in checklist.json.
PROBES = {
    "runtime class": Probe("", runtime_class),
    "devices": Probe(DEVICES, devices),
    "driver": Probe(DRIVER, driver),
    "count": Probe(COUNT, gpu_count),
    "libraries": Probe(LIBRARIES, libraries),
    "visible devices": Probe(VISIBLE, visible_devices),
    "rights": Probe(RIGHTS, rights),
    "boot": Probe(BOOT, boots),
}
