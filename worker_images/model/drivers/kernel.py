"""The NVIDIA driver of a machine: its version, its architecture, and what kind of driver it is."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

VERSION = "/proc/driver/nvidia/version"
CONTROL = "/dev/nvidiactl"
GPUS = "/proc/driver/nvidia/gpus"
NO_DRIVER = f"no NVIDIA driver on this machine: {VERSION} does not exist"
# The proprietary module, "... Kernel Module  535.129.03  Thu ...", and the open one, "... Open
# Kernel Module for x86_64  580.159.04  Release ...".
NVRM = re.compile(r"^NVRM version: .*?\s([0-9]+\.[0-9]+(?:\.[0-9]+)?)\s", re.MULTILINE)
MACHINE = re.compile(r"^NVRM version: [^\n]*\b(x86_64|aarch64)\b", re.MULTILINE)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Jetson's drivers (L4T): 35.4.1 of JetPack 5, 540.4.0 of JetPack 6, 580.00 of JetPack 7. gVisor
# prints 540.04.00. NVIDIA builds them on hosts named mobile.
L4T_VERSION = re.compile(r"(?:3[2-9]|540)\.[0-9]{1,2}\.[0-9]{1,2}|[0-9]{3}\.00(?:\.00)?")
L4T_BUILDER = re.compile(r"^NVRM version: [^\n]*\([^)\n]*@mobile-", re.MULTILINE)
# The model of a vGPU ends with its profile: NVIDIA A40-8Q, GRID A100D-20C, NVIDIA A100-1-5CME.
VGPU_MODEL = re.compile(r"^Model:[^\n]*-[0-9]{1,3}[ABCQ](?:ME)?[ \t]*$", re.MULTILINE)
# Kinds of drivers and machines; an ordinary driver has none.
L4T, VGPU, WSL, NO_MODULE = "L4T", "vGPU", "WSL2", "no kernel module"


@dataclass(frozen=True)
class Machine:
    """A machine's driver, the source of the version, and the architecture: amd64, arm64 or empty.

    `kind` is L4T, VGPU, WSL, NO_MODULE or empty.
    """

    driver: str
    source: str
    architecture: str = ""
    kind: str = ""


def read(root: Path = Path("/")) -> Machine | None:
    """The driver in a machine's kernel; None without one."""
    file = root / VERSION[1:]
    try:
        text = file.read_text(errors="replace")
    except OSError:
        return None
    version = version_in(text)
    if not version:
        return None
    kind = kind_in(text) or (VGPU if is_vgpu(_models(root / GPUS[1:])) else "")
    return Machine(version, str(file), architecture_in(text), kind)


def without_module(driver: str, source: str, architecture: str, root: Path = Path("/")) -> Machine:
    """A machine whose driver only a program names, which does not need a kernel module."""
    if (root / CONTROL[1:]).exists():
        return Machine(driver, source, architecture)
    is_wsl = (root / "dev/dxg").exists() or (root / "usr/lib/wsl").exists()
    return Machine(driver, source, architecture, WSL if is_wsl else NO_MODULE)


def version_of(file: Path) -> str:
    """The version in a file such as /proc/driver/nvidia/version; empty without file or version."""
    try:
        return version_in(file.read_text(errors="replace"))
    except OSError:
        return ""


def version_in(text: str) -> str:
    """The version in the text of /proc/driver/nvidia/version; empty if there is none."""
    found = NVRM.search(text)
    return found[1] if found else ""


def architecture_in(text: str) -> str:
    """The architecture in the text of /proc/driver/nvidia/version; empty if there is none."""
    found = MACHINE.search(text)
    return ARCHITECTURES[found[1]] if found else ""


def kind_in(text: str) -> str:
    """L4T if the text of /proc/driver/nvidia/version is that of a Jetson; empty otherwise."""
    return L4T if L4T_BUILDER.search(text) else kind_of(version_in(text))


def kind_of(driver: str) -> str:
    """L4T if a version is one of Jetson's drivers; empty otherwise."""
    return L4T if L4T_VERSION.fullmatch(driver) else ""


def is_vgpu(texts: Iterable[str]) -> bool:
    """Whether a GPU's model is that of a vGPU, in /proc/driver/nvidia/gpus/*/information."""
    return any(VGPU_MODEL.search(text) for text in texts)


def _models(folder: Path) -> Iterable[str]:
    for file in sorted(folder.glob("*/information")):
        try:
            yield file.read_text(errors="replace")
        except OSError:
            continue
