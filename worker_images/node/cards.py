"""Reads the GPUs of the kernel's driver in /proc: PCI address, minor number, UUID and model."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from worker_images.model.drivers.kernel import GPUS

PARTS = "/proc/driver/nvidia/capabilities"
# domain:bus:device.function, all hexadecimal.
ADDRESS = re.compile(
    r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", re.ASCII | re.IGNORECASE
)
# Before a GPU is initialized the driver writes GPU-????????-????-....
UUID = re.compile(r"GPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
MAX_BYTES = 64 << 10


@dataclass(frozen=True)
class Card:
    """A GPU of the driver.

    `uuid` is empty before the driver has initialized the GPU. An excluded GPU is out of use by a
    parameter of the driver.
    """

    address: str
    minor: int
    uuid: str = ""
    model: str = ""
    is_excluded: bool = False
    in_mig_mode: bool = False


def read(root: Path = Path("/")) -> tuple[Card, ...]:
    """Return the GPUs in the order of their PCI addresses, which is that of nvidia-smi."""
    return tuple(sorted(_cards(root), key=lambda card: _order(card.address)))


def _cards(root: Path) -> Iterator[Card]:
    try:
        folders = list((root / GPUS[1:]).iterdir())
    except OSError:
        return
    for folder in folders:
        fields = _fields(folder / "information") if ADDRESS.fullmatch(folder.name) else {}
        minor = fields.get("Device Minor", "")
        if minor.isascii() and minor.isdigit():
            uuid = fields.get("GPU UUID", "")
            yield Card(
                folder.name,
                int(minor),
                uuid if UUID.fullmatch(uuid) else "",
                fields.get("Model", ""),
                is_excluded=fields.get("GPU Excluded", "No") == "Yes",
                in_mig_mode=_has_parts(root, minor),
            )


def _fields(file: Path) -> dict[str, str]:
    """Return the lines of a file as names and values; none if it cannot be read."""
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_BYTES).decode(errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _has_parts(root: Path, minor: str) -> bool:
    """Whether MIG has divided a GPU: the driver has a folder for each of its instances."""
    folder = root / PARTS[1:] / f"gpu{minor}" / "mig"
    try:
        return any(each.name.startswith("gi") for each in folder.iterdir())
    except OSError:
        return False


def _order(address: str) -> tuple[int, ...]:
    found = ADDRESS.fullmatch(address)
    return tuple(int(part, 16) for part in found.groups()) if found else ()
