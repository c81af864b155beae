"""Why a sandbox failed, in words: what users see is only EOF, the reason stands in runsc's debug
log.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from worker_images.model.drivers.table import Table


@dataclass(frozen=True)
class Cause:
    """A known reason: its name in docs/nvproxy.md, the line that told it, words, and the next
    step.
    """

    name: str
    line: str
    words: str
    step: str


@dataclass(frozen=True)
class _Sign:
    name: str
    pattern: str
    words: str
    step: str


# Each as runsc or CUDA wrote it on a real GPU, or as it stands in runsc's source.
SIGNS = (
    _Sign(
        "unserved driver",
        r"unsupported Nvidia driver version: (\d+(?:\.\d+)+)",
        "this runsc does not serve the node's driver {0}",
        "{release}",
    ),
    _Sign(
        "wrong ABI",
        r"nvproxy: (?:handler is undefined for|unknown) (?!caching)((?:[A-Za-z_]+ )+(?:\d+ ==?"
        r" )?(?:0x[0-9a-f]+|\d+))",
        "nvproxy has no handler for {0}: its ABI is not the driver's, or the program needs what it"
        " does not serve",
        "remove --nvproxy-driver-version; if it was not set, take a newer gvisor.version",
    ),
    _Sign(
        "no container-cli",
        r"failed to locate nvidia-container-cli in PATH",
        "the specification holds an NVIDIA hook, for which runsc calls nvidia-container-cli, and"
        " the image has none",
        "write devices and driver files into the specification instead: python3 -m"
        " worker_images.node bundle",
    ),
    _Sign(
        "no devices",
        r"failed to open /dev/nvidiactl: ([a-z /]+)",
        "the worker itself cannot open /dev/nvidiactl: {0}",
        "give the worker the GPU: runtimeClassName nvidia and a limit nvidia.com/gpu; load the"
        " driver's modules on the node",
    ),
    _Sign(
        "capabilities",
        r"disallowed driver capabilities requested: \\?\"([^\"\\]+)",
        "NVIDIA_DRIVER_CAPABILITIES asks for what nvproxy does not allow: {0}",
        "set NVIDIA_DRIVER_CAPABILITIES=compute,utility",
    ),
    _Sign(
        "MIG",
        r"invalid \\?\"([^\"\\]+)\\?\" in NVIDIA_VISIBLE_DEVICES",
        "NVIDIA_VISIBLE_DEVICES names {0}; nvproxy knows whole GPUs, by number or GPU-...",
        "hand whole GPUs to these nodes; nvproxy has no MIG",
    ),
    _Sign(
        "no libcuda",
        r"libcuda\.so\.1: cannot open shared object file",
        "the container has no libcuda.so.1, which belongs to the node's driver and is in no image",
        "mount the driver's files: python3 -m worker_images.node bundle",
    ),
    _Sign(
        "empty libcuda",
        r"libcuda\S*: file too short",
        "the container's libcuda is an empty file: the mount that should fill it is hidden by"
        " another",
        "give the container a root that is not the node's own",
    ),
    _Sign(
        "no GPU",
        r"\b100 CUDA_ERROR_NO_DEVICE",
        "CUDA finds no device in the container",
        "put nvidiactl, nvidia-uvm and nvidiaN into linux.devices",
    ),
    _Sign(
        "another libcuda",
        r"\b(803|804) CUDA_ERROR|Driver/library version mismatch",
        "the container's libcuda is of another version than the node's driver",
        "mount the node's own driver files, and keep cuda-compat out of LD_LIBRARY_PATH",
    ),
    _Sign(
        "forbidden",
        r"(?:fork/exec|pivot_root|clone|unshare)[^\n]*(?:operation not permitted|permission"
        r" denied)",
        "the machine forbids runsc to make namespaces",
        "run the worker with seccomp and AppArmor unconfined, and either CAP_SYS_ADMIN or"
        " --rootless",
    ),
    _Sign(
        "wrong binary",
        r"exec format error",
        "runsc, or the container's program, is no program for this machine: another's, or an empty"
        " file",
        "compare runsc's SHA with versions.yaml; if it is the right one, look at what is mounted"
        " over the program",
    ),
)


def explain(text: str, drivers: Table) -> Iterator[Cause]:
    """Every known reason in what runsc and the program said, the first line of each."""
    for sign in SIGNS:
        if found := re.search(sign.pattern, text, re.MULTILINE):
            line = text[text.rfind("\n", 0, found.start()) + 1 :].partition("\n")[0].strip()
            values = (
                {"release": serving(found[1], drivers)} if sign.name == "unserved driver" else {}
            )
            yield Cause(
                sign.name,
                line,
                sign.words.format(*found.groups()),
                sign.step.format(*found.groups(), **values),
            )


def serving(driver: str, drivers: Table) -> str:
    """The next step for a driver: the first release that serves it, and the last that still
    does.
    """
    found = drivers.serving(driver)
    if not found:
        return f"no gVisor release up to {drivers.newest} serves {driver}: change the node's driver"
    first, last = found[0].name, found[-1].name
    return (
        f"gVisor serves {driver} from {first} on, last seen in {last}: set gvisor.version, or"
        " change the node's driver"
    )
