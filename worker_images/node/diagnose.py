"""Known causes of a failed sandbox, found in runsc's debug log; users see only EOF."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from worker_images.model.drivers.table import Table


@dataclass(frozen=True)
class Cause:
    """A known cause: its name, the line that shows it, a message, and the next step."""

    name: str
    line: str
    message: str
    step: str


@dataclass(frozen=True)
class LogSignature:
    """A pattern for lines of a log, and the cause that they show; {0} is the first group."""

    name: str
    pattern: str
    message: str
    step: str


# Each pattern matches text that runsc or CUDA printed on a real GPU, or that is in runsc's source.
SIGNATURES = (
    LogSignature(
        "unserved driver",
        r"unsupported Nvidia driver version: (\d+(?:\.\d+)+)",
        "this runsc does not serve the node's driver {0}",
        "{release}",
    ),
    LogSignature(
        "wrong ABI",
        r"nvproxy: (?:handler is undefined for|unknown) (?!caching)((?:[A-Za-z_]+ )+(?:\d+ ==?"
        r" )?(?:0x[0-9a-f]+|\d+))",
        "nvproxy has no handler for {0}: it uses the ABI of another driver, or the program needs a"
        " call that nvproxy does not support",
        "remove --nvproxy-driver-version; if it was not set, use a newer gvisor.version",
    ),
    LogSignature(
        "no container-cli",
        r"failed to locate nvidia-container-cli in PATH",
        "the specification has an NVIDIA hook, for which runsc runs nvidia-container-cli; the image"
        " does not contain that program",
        "write devices and driver files into the specification instead: python3 -m"
        " worker_images.node bundle",
    ),
    LogSignature(
        "no devices",
        r"failed to open /dev/nvidiactl: ([a-z /]+)",
        "the worker itself cannot open /dev/nvidiactl: {0}",
        "give the worker the GPU: runtimeClassName nvidia and a limit nvidia.com/gpu; load the"
        " driver's modules on the node",
    ),
    LogSignature(
        "capabilities",
        r"disallowed driver capabilities requested: \\?\"([^\"\\]+)",
        "NVIDIA_DRIVER_CAPABILITIES requests capabilities that nvproxy does not allow: {0}",
        "set NVIDIA_DRIVER_CAPABILITIES=compute,utility",
    ),
    LogSignature(
        "MIG",
        r"invalid \\?\"([^\"\\]+)\\?\" in NVIDIA_VISIBLE_DEVICES",
        "NVIDIA_VISIBLE_DEVICES names {0}; nvproxy supports only full GPUs, by number or GPU-...",
        "assign full GPUs to these nodes; nvproxy does not support MIG",
    ),
    LogSignature(
        "no libcuda",
        r"libcuda\.so\.1: cannot open shared object file",
        "the container has no libcuda.so.1, which belongs to the node's driver and is not in any"
        " image",
        "mount the driver's files: python3 -m worker_images.node bundle",
    ),
    LogSignature(
        "empty libcuda",
        r"libcuda\S*: file too short",
        "the container's libcuda is an empty file: another mount hides the driver's file",
        "use a container root other than the node's own",
    ),
    LogSignature(
        "no GPU",
        r"\b100 CUDA_ERROR_NO_DEVICE",
        "CUDA finds no device in the container",
        "add nvidiactl, nvidia-uvm and nvidiaN to linux.devices",
    ),
    LogSignature(
        "another libcuda",
        r"\b(803|804) CUDA_ERROR|Driver/library version mismatch",
        "the version of the container's libcuda differs from the node's driver",
        "mount the node's own driver files, and keep cuda-compat out of LD_LIBRARY_PATH",
    ),
    LogSignature(
        "forbidden",
        r"(?:fork/exec|pivot_root|clone|unshare)[^\n]*(?:operation not permitted|permission"
        r" denied)",
        "the machine does not permit runsc to create namespaces",
        "run the worker with seccomp and AppArmor unconfined, and either CAP_SYS_ADMIN or"
        " --rootless",
    ),
    LogSignature(
        "wrong binary",
        r"exec format error",
        "runsc or the container's program is not an executable for this machine: it was built for"
        " another architecture, or it is an empty file",
        "compare runsc's SHA with versions.yaml; if it matches, check what is mounted over the"
        " program",
    ),
)


def explain(text: str, drivers: Table) -> Iterator[Cause]:
    """Yield each known cause in the output of runsc and the program, with its first line."""
    for signature in SIGNATURES:
        if match := re.search(signature.pattern, text, re.MULTILINE):
            line = text[text.rfind("\n", 0, match.start()) + 1 :].partition("\n")[0].strip()
            values = (
                {"release": serving(match[1], drivers)}
                if signature.name == "unserved driver"
                else {}
            )
            yield Cause(
                signature.name,
                line,
                signature.message.format(*match.groups()),
                signature.step.format(*match.groups(), **values),
            )


def serving(driver: str, drivers: Table) -> str:
    """Return the next step for a driver: the first and last release that serve it."""
    releases = drivers.serving(driver)
    if not releases:
        return f"no gVisor release up to {drivers.newest} serves {driver}; change the node's driver"
    first, last = releases[0].name, releases[-1].name
    return (
        f"gVisor releases {first} to {last} serve {driver}; set gvisor.version to one of them, or"
        " change the node's driver"
    )
