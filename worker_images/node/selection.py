"""Selects GPUs of a node: as nvidia-smi numbers them, by UUID, or by minor number."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from worker_images.errors import EngineError
from worker_images.node.cards import Card
from worker_images.node.node import Device, Node
from worker_images.untrusted import shown

ALL, NONE = "all", "none"
MINOR = re.compile(r"minor:([0-9]{1,6})", re.ASCII)
INDEX = re.compile(r"[0-9]{1,6}", re.ASCII)
# A UUID, or its beginning, as CUDA_VISIBLE_DEVICES takes it.
UUID = re.compile(r"GPU-[0-9a-f-]{1,40}", re.ASCII | re.IGNORECASE)
# MIG-<UUID>, MIG-GPU-<UUID>/1/0, and 0:1 for an instance of a GPU.
PART = re.compile(r"MIG-.*|[0-9]+:[0-9]+(?::[0-9]+)?", re.ASCII | re.IGNORECASE)
FORMS = "an index of nvidia-smi such as 0, a UUID such as GPU-..., or minor:N for /dev/nvidiaN"


class SpecError(EngineError):
    """The node does not have what the container requests."""


@dataclass(frozen=True)
class Gpu:
    """A GPU with a device node: its index, as nvidia-smi counts, and what the driver says of it."""

    index: int
    device: Device
    card: Card | None = None

    @property
    def name(self) -> str:
        """The UUID if it is known; the index otherwise."""
        return self.card.uuid if self.card and self.card.uuid else str(self.index)

    def __str__(self) -> str:
        parts = (self.card.address, self.card.uuid, self.card.model) if self.card else ()
        return ", ".join([f"{self.index}: {self.device.path}", *filter(None, map(shown, parts))])


def gpus(node: Node) -> tuple[Gpu, ...]:
    """Return the GPUs of a node in the order of nvidia-smi, without those that are excluded.

    If the driver lists no GPU, as with stand-ins, the order is that of the minor numbers.
    """
    pairs = _pairs(node)
    usable = [(device, card) for device, card in pairs if not (card and card.is_excluded)]
    return tuple(Gpu(index, device, card) for index, (device, card) in enumerate(usable))


def _pairs(node: Node) -> list[tuple[Device, Card | None]]:
    """Return each GPU that has a device node with what the driver says of it, in PCI order."""
    if not node.cards:
        return [(device, None) for device in node.gpus]
    devices = {device.minor: device for device in node.gpus}
    return [(devices[card.minor], card) for card in node.cards if card.minor in devices]


def selected(node: Node, request: str) -> tuple[Gpu, ...]:
    """Return some GPUs: all, none, or a list of those in FORMS, each once, in their order.

    Raises SpecError for a GPU that the node does not have or that a sandbox cannot use.
    """
    if request == NONE:
        return ()
    known = gpus(node)
    if request == ALL:
        chosen = list(known)
    else:
        chosen = [_one(node, known, word.strip()) for word in request.split(",")]
    for each in chosen:
        if each.card and each.card.in_mig_mode:
            raise SpecError(
                f"GPU {each} is in MIG mode, which nvproxy does not support; choose other GPUs, or"
                f" turn MIG off: nvidia-smi -i {each.index} -mig 0"
            )
    return tuple(each for each in known if each in chosen)


def _one(node: Node, known: Sequence[Gpu], word: str) -> Gpu:
    if PART.fullmatch(word):
        raise SpecError(
            f"{shown(word)} is a part of a GPU (MIG), which nvproxy does not support; name full"
            " GPUs"
        )
    if INDEX.fullmatch(word):
        found = [each for each in known if each.index == int(word)]
    elif minor := MINOR.fullmatch(word):
        found = [each for each in known if each.device.minor == int(minor[1])]
    elif UUID.fullmatch(word):
        found = [each for each in known if _begins(each.card, word)]
    else:
        raise SpecError(f"no GPU {shown(word) or 'without a name'}; name {FORMS}")
    if len(found) == 1:
        return found[0]
    if found:
        raise SpecError(f"{word} is the beginning of {len(found)} UUIDs: {_list(found)}")
    raise SpecError(_missing(node, known, word))


def _begins(card: Card | None, word: str) -> bool:
    return card is not None and card.uuid.lower().startswith(word.lower())


def _missing(node: Node, known: Sequence[Gpu], word: str) -> str:
    """Return why the node has no such GPU, and which it has."""
    for card in node.cards:
        if word == f"minor:{card.minor}" or _begins(card, word):
            where = f"GPU {word} ({', '.join(filter(None, (card.address, card.uuid)))})"
            if card.is_excluded:
                return (
                    f"{where} is excluded from use by the driver's parameter NVreg_ExcludedGpus;"
                    " choose another GPU"
                )
            return f"no /dev/nvidia{card.minor} for {where}: give it to this machine or container"
    has = f"this node has {_list(known)}" if known else "/dev has no nvidiaN"
    unknown = UUID.fullmatch(word) and any(each.name == str(each.index) for each in known)
    step = "; the driver does not know all UUIDs yet: run nvidia-smi once" if unknown else ""
    return f"no GPU {word}: {has}{step}"


def _list(found: Sequence[Gpu]) -> str:
    return "; ".join(map(str, found))
