"""What a launcher is about to hand to runsc, as far as the node can see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from worker_images.node.node import GPU, Node

# What Go reads as false.
OFF = {"0", "f", "false"}


@dataclass(frozen=True)
class Launch:
    """What a launcher hands to runsc: the specification, the node it is for, runsc's flags and
    runsc itself, if known.

    `host` is where the node's root lies for runsc, which sources of mounts begin with.
    """

    specification: Mapping[str, Any]
    node: Node
    flags: tuple[str, ...] = ()
    runsc: Path | None = None
    host: str = ""

    @property
    def devices(self) -> list[tuple[int, dict[str, Any]]]:
        """Devices of the driver, each with its place in linux.devices."""
        found = (self.specification.get("linux") or {}).get("devices") or []
        return [
            (number, device)
            for number, device in enumerate(found)
            if device["path"].startswith("/dev/nvidia")
        ]

    @property
    def gpus(self) -> list[str]:
        """Numbers of the GPUs in linux.devices."""
        return [found[1] for _, device in self.devices if (found := GPU.search(device["path"]))]

    @property
    def environment(self) -> dict[str, str]:
        """The container's environment; a name that is set twice counts as it was set last."""
        pairs = (
            pair.partition("=")
            for pair in (self.specification.get("process") or {}).get("env") or []
        )
        return {name: value for name, _, value in pairs}

    @property
    def options(self) -> dict[str, str]:
        """runsc's flags as Go reads them: one dash or two, the value behind = or in the next word.

        Empty for one that stands alone.
        """
        found = {}
        for word, following in zip(self.flags, (*self.flags[1:], ""), strict=False):
            name, equals, value = word.lstrip("-").partition("=")
            if word.startswith("-"):
                found[name] = value if equals or following.startswith("-") else following
        return found

    def asks(self, name: str) -> bool:
        """Whether a flag that is true or false is given as true."""
        return self.options.get(name, "false").lower() not in OFF

    @property
    def mounts(self) -> list[tuple[int, dict[str, Any]]]:
        """Everything that is bound in, each with its place in mounts.

        The options say bind or rbind, the type need not.
        """
        found = enumerate(self.specification.get("mounts") or [])
        return [
            (number, each)
            for number, each in found
            if each.get("type") == "bind" or {"bind", "rbind"} & {*(each.get("options") or [])}
        ]

    def source(self, mount: Mapping[str, Any]) -> Path:
        """What is mounted, as a path of the node."""
        return self._on_node(mount.get("source", ""))

    @property
    def root(self) -> Path | None:
        """The container's root as a path of the node.

        None for one that is named from the bundle's folder.
        """
        path = (self.specification.get("root") or {}).get("path", "")
        return self._on_node(path) if path.startswith("/") else None

    def _on_node(self, path: str) -> Path:
        inside = self.host and PurePosixPath(path).is_relative_to(self.host)
        return Path("/") / PurePosixPath(path).relative_to(self.host) if inside else Path(path)
