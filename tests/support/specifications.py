"""Changes of a valid OCI specification."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from worker_images.node.lint.request import LaunchRequest

Change = Callable[[dict[str, Any]], object]


def changed(request: LaunchRequest, change: Change) -> LaunchRequest:
    specification = copy.deepcopy(dict(request.specification))
    change(specification)
    return replace(request, specification=specification)


def add_variable(name: str, value: str) -> Change:
    return lambda specification: specification["process"]["env"].append(f"{name}={value}")


def keep_mounts(keep: Callable[[dict[str, Any]], bool]) -> Change:
    return lambda specification: specification.update(
        mounts=[mount for mount in specification["mounts"] if keep(mount)]
    )


def change_device(index: int, **values: object) -> Change:
    return lambda specification: specification["linux"]["devices"][index].update(values)


def add_device(**values: object) -> Change:
    return lambda specification: specification["linux"]["devices"].append(
        {"type": "c", "major": 195, "minor": 254, **values}
    )


def add_mount(source: str, **more: object) -> Change:
    """Add a bind mount without a type, as NVIDIA's toolkit does."""
    mount = {"destination": "/x", "source": source, "options": ["ro", "rbind"], **more}
    return lambda specification: specification["mounts"].append(mount)


def move_driver(folder: str) -> Change:
    """Move the driver's files to another folder of the container."""

    def change(specification: dict[str, Any]) -> None:
        for mount in specification["mounts"]:
            mount["destination"] = mount["destination"].replace("/usr/local/nvidia", folder)

    return change


def add_hook(stage: str, path: str) -> Change:
    return lambda specification: specification.update(hooks={stage: [{"path": path}]})
