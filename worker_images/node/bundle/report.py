"""What the command bundle prints: the files and GPUs of a bundle, and the command that runs it."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from worker_images.node import checkpoint, huge_pages, selection
from worker_images.node.node import Node
from worker_images.node.runsc import flags
from worker_images.node.selection import NONE
from worker_images.node.spec import Container, with_capabilities

# A placeholder in the printed commands.
IMAGE = "CHECKPOINT"
NOTE = (
    "CHECKPOINT is a new folder of mode 0700: it will hold the container's memory. Give both"
    " containers a pipe for each output"
)
SMALL_PAGES = (
    f"restores are faster with {huge_pages.SETTINGS[huge_pages.SHARED]} in {huge_pages.SHARED};"
    " this machine has {}"
)


def report(
    this_node: Node,
    container: Container,
    config: Mapping[str, Any],
    path: Path,
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return what was written, and the command that runs it, as JSON's types."""
    devices = {device["path"] for device in config["linux"]["devices"]}
    mounted = with_capabilities(this_node, container.capabilities)
    chosen = flags(
        container.network,
        limited=bool(container.limits),
        gpus=container.gpus != NONE,
        capabilities=container.capabilities,
    )
    return {
        "bundle": str(path),
        "driver": this_node.driver if mounted.libraries else "",
        "source": this_node.source if mounted.libraries else "",
        "libraries": [str(each) for each in mounted.libraries],
        "programs": [str(each) for each in mounted.programs],
        "configuration": [str(each) for each, _ in mounted.configuration],
        "gpus": [
            {
                "index": gpu.index,
                "minor": gpu.device.minor,
                "device": gpu.device.path,
                "address": gpu.card.address if gpu.card else "",
                "uuid": gpu.card.uuid if gpu.card else "",
                "model": gpu.card.model if gpu.card else "",
                "text": str(gpu),
            }
            for gpu in selection.gpus(this_node)
            if gpu.device.path in devices
        ],
        "command": ["runsc", *chosen, "run", "--bundle", str(path), "NAME"],
        "notes": [*notes, *(_notes() if container.checkpoint else [])],
        **(_checkpoint(["runsc", *chosen], path) if container.checkpoint else {}),
    }


def _notes() -> list[str]:
    """Return what a launcher that saves the container should know."""
    settings = huge_pages.current()
    if not settings or huge_pages.are_given(settings):
        return [NOTE]
    return [NOTE, SMALL_PAGES.format(settings[huge_pages.SHARED.name])]


def _checkpoint(program: list[str], path: Path) -> dict[str, list[str]]:
    """Return the commands that save and restore the container."""
    return {
        "save": [*program, *checkpoint.save(IMAGE), "NAME"],
        "restore": [*program, *checkpoint.restore(IMAGE, str(path)), "NEW-NAME"],
    }


def text(found: dict[str, Any]) -> str:
    """Return the report as lines of text."""
    files = f"{found['driver']}, {len(found['libraries'])} libraries from {found['source']}"
    lines = (
        f"bundle  {found['bundle']}",
        f"driver  {files if found['libraries'] else 'none'}",
        *(f"gpu     {gpu['text']}" for gpu in found["gpus"]),
        *(f"note    {note}" for note in found["notes"]),
        f"next    {shlex.join(found['command'])}",
        *(f"{name:8}{shlex.join(found[name])}" for name in ("save", "restore") if name in found),
    )
    return "\n".join(lines)
