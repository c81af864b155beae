"""Checks the mounts that a caller of bundle adds."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path, PurePosixPath
from typing import Any

from worker_images.errors import UsageError
from worker_images.node import namespaces
from worker_images.node.spec import DRIVER, Container


def check_sources(container: Container) -> None:
    """Refuse a mount whose source does not exist; raises UsageError."""
    for source, destination in container.mounts:
        if not source.exists():
            raise UsageError(f"--mount {source}:{destination}: {source} does not exist; create it")


def check_network(network: str, host: str) -> None:
    """Refuse a network's file that is no namespace; raises UsageError."""
    if network.startswith("/") and not host and namespaces.is_other_file(Path(network)):
        raise UsageError(
            f"--network {network} is not a network namespace; create it where runsc runs:"
            " ip netns add NAME"
        )


def check_destinations(container: Container, config: Mapping[str, Any]) -> None:
    """Refuse a mount that hides the driver's files or devices; raises UsageError."""
    own = len(config["mounts"]) - len(container.mounts)
    driver = {each["destination"] for each in config["mounts"][:own] if each["type"] == "bind"}
    devices = {each["path"] for each in config["linux"]["devices"]}
    for source, destination in container.mounts:
        if hidden := _hidden(destination, driver | devices):
            raise UsageError(
                f"--mount {source}:{destination} would hide {hidden} of the driver; use another"
                " destination"
            )


def _hidden(destination: str, paths: AbstractSet[str]) -> str:
    path = PurePosixPath("/", destination.lstrip("/"))
    below = (each for each in sorted(paths) if PurePosixPath(each).is_relative_to(path))
    is_inside = DRIVER in paths and path.is_relative_to(DRIVER)
    return next(below, DRIVER if is_inside else "")
