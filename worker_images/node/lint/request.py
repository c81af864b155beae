"""The values that a launcher passes to runsc, as far as the node can read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from worker_images.node.node import GPU, Node

# Values that Go parses as false.
FALSE_VALUES = {"0", "f", "false"}
# Annotations that change the root.
ROOT = "dev.gvisor.spec.rootfs."


@dataclass(frozen=True)
class LaunchRequest:
    """A specification, the node that it is for, runsc's flags, and runsc itself if known.

    `host` is the path of the node's root as runsc sees it; sources of mounts begin with it.
    """

    specification: Mapping[str, Any]
    node: Node
    flags: tuple[str, ...] = ()
    runsc: Path | None = None
    host: str = ""

    @property
    def devices(self) -> list[tuple[int, dict[str, Any]]]:
        """The driver's devices, each with its index in linux.devices."""
        devices = (self.specification.get("linux") or {}).get("devices") or []
        return [
            (index, device)
            for index, device in enumerate(devices)
            if device["path"].startswith("/dev/nvidia")
        ]

    @property
    def gpus(self) -> list[str]:
        """The numbers of the GPUs in linux.devices."""
        return [match[1] for _, device in self.devices if (match := GPU.search(device["path"]))]

    @property
    def environment(self) -> dict[str, str]:
        """The container's environment; the last value of a repeated name counts."""
        pairs = (
            pair.partition("=")
            for pair in (self.specification.get("process") or {}).get("env") or []
        )
        return {name: value for name, _, value in pairs}

    @property
    def options(self) -> dict[str, str]:
        """runsc's flags as Go parses them: one dash or two, the value after = or as the next word.

        The value of a flag without one is empty.
        """
        options = {}
        for word, following in zip(self.flags, (*self.flags[1:], ""), strict=False):
            name, equals, value = word.lstrip("-").partition("=")
            if word.startswith("-"):
                options[name] = value if equals or following.startswith("-") else following
        return options

    @property
    def mounts(self) -> list[tuple[int, dict[str, Any]]]:
        """The bind mounts, each with its index in mounts."""
        mounts = enumerate(self.specification.get("mounts") or [])
        return [(index, mount) for index, mount in mounts if says_bind(mount)]

    def source(self, mount: Mapping[str, Any]) -> Path:
        """The source of a mount as a path of the node."""
        return self._on_node(mount.get("source", ""))

    @property
    def root(self) -> Path | None:
        """The container's root as a path of the node.

        None if the path is relative to the bundle, or if the image is a file of EROFS.
        """
        if self.has_erofs_root:
            return None
        path = (self.specification.get("root") or {}).get("path", "")
        return self._on_node(path) if path.startswith("/") else None

    @property
    def has_erofs_root(self) -> bool:
        """Report if an annotation makes a file of EROFS the root."""
        annotations = self.specification.get("annotations") or {}
        return bool(annotations.get(f"{ROOT}type") == "erofs")

    def _on_node(self, path: str) -> Path:
        inside = self.host and PurePosixPath(path).is_relative_to(self.host)
        return Path("/") / PurePosixPath(path).relative_to(self.host) if inside else Path(path)


def says_bind(mount: Mapping[str, Any]) -> bool:
    """Report if a mount is a bind mount: by its type, or by an option, whatever its type."""
    options = {*(mount.get("options") or ())}
    return mount.get("type") == "bind" or bool(options & {"bind", "rbind"})


def is_true(options: Mapping[str, str], name: str) -> bool:
    """Report if a boolean flag is set to true."""
    return options.get(name, "false").lower() not in FALSE_VALUES
