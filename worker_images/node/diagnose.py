"""Known causes of a failed sandbox, found in runsc's debug log; users see only EOF."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from worker_images.model.drivers.table import Table

# A log is searched in blocks, which end with a line. A longer line is cut into blocks that overlap.
BLOCK_BYTES = 1 << 20
OVERLAP_BYTES = 4096
# What is shown of a line: the match, and this much before it.
SHOWN_CHARACTERS = 300
SHOWN_BEFORE = 100


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
# No pattern takes more than linear time: repetitions are limited, or cannot pass their own start.
SIGNATURES = (
    LogSignature(
        "unserved driver",
        r"unsupported Nvidia driver version: (\d{1,9}(?:\.\d{1,9}){1,3})",
        "this runsc does not serve the node's driver {0}",
        "{release}",
    ),
    LogSignature(
        "wrong ABI",
        r"nvproxy: (?:handler is undefined for|unknown) (?!caching)((?:[A-Za-z_]{1,60} ){1,8}"
        r"(?:\d{1,20} ==? )?(?:0x[0-9a-f]{1,16}|\d{1,20}))",
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
        r"failed to open /dev/nvidiactl: ([a-z /]{1,100})",
        "the worker itself cannot open /dev/nvidiactl: {0}",
        "give the worker the GPU: runtimeClassName nvidia and a limit nvidia.com/gpu; load the"
        " driver's modules on the node",
    ),
    LogSignature(
        "capabilities",
        r"disallowed driver capabilities requested: \\?\"([^\"\\\n]{1,200})",
        "NVIDIA_DRIVER_CAPABILITIES requests capabilities that nvproxy does not allow: {0}",
        "set NVIDIA_DRIVER_CAPABILITIES=compute,utility",
    ),
    LogSignature(
        "MIG",
        r"invalid \\?\"([^\"\\\n]{1,200})\\?\" in NVIDIA_VISIBLE_DEVICES",
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
        r"libcuda[a-z]{0,20}\.so[.\d]{0,40}: file too short",
        "the container's libcuda is an empty file: another mount hides the driver's file",
        "use a container root other than the node's own",
    ),
    LogSignature(
        "no GPU",
        r"100 CUDA_ERROR_NO_DEVICE",
        "CUDA finds no device in the container",
        "add nvidiactl, nvidia-uvm and nvidiaN to linux.devices",
    ),
    LogSignature(
        "another libcuda",
        r"80[34] CUDA_ERROR|Driver/library version mismatch",
        "the version of the container's libcuda differs from the node's driver",
        "mount the node's own driver files, and keep cuda-compat out of LD_LIBRARY_PATH",
    ),
    LogSignature(
        "forbidden",
        r"(?:fork/exec|pivot_root|clone|unshare)"
        r"(?:(?!fork/exec|pivot_root|clone|unshare)[^\n]){0,2000}?"
        r"(?:operation not permitted|permission denied)",
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


def blocks(log: BinaryIO) -> Iterator[str]:
    """Yield a log in blocks of bounded size; other bytes than UTF-8 are replaced."""
    rest = b""
    while data := log.read(BLOCK_BYTES):
        data += log.readline(OVERLAP_BYTES)
        yield (rest + data).decode(errors="replace")
        rest = b"" if data.endswith(b"\n") else data[-OVERLAP_BYTES:]


def explain(text: str, drivers: Table) -> Iterator[Cause]:
    """Yield each known cause in the output of runsc and the program, with its first line."""
    return explain_blocks([text], drivers)


def explain_blocks(texts: Iterable[str], drivers: Table) -> Iterator[Cause]:
    """Yield what explain does for texts that are read one after the other."""
    found: dict[LogSignature, Cause] = {}
    for text in texts:
        for signature in SIGNATURES:
            if signature not in found and (match := re.search(signature.pattern, text)):
                found[signature] = _cause(signature, match, drivers)
    yield from (found[signature] for signature in SIGNATURES if signature in found)


def _line(match: re.Match[str]) -> str:
    """Return the line of a match, or the part of a long line that begins shortly before it."""
    text = match.string
    begin = max(text.rfind("\n", 0, match.start()) + 1, match.start() - SHOWN_BEFORE)
    return text[begin : begin + SHOWN_CHARACTERS].partition("\n")[0].strip()


def _cause(signature: LogSignature, match: re.Match[str], drivers: Table) -> Cause:
    values = {"release": serving(match[1], drivers)} if signature.name == "unserved driver" else {}
    return Cause(
        signature.name,
        _line(match),
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
