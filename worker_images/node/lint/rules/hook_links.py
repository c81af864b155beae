"""The part of rule F8 of docs/launcher.md on links: a hook that cannot create one fails.

NVIDIA container toolkit 1.20.1: cmd/nvidia-cdi-hook/create-symlinks.
"""

import os
from pathlib import Path

from worker_images.node.lint import toolkit_hooks, view
from worker_images.node.lint.container_files import ContainerFiles
from worker_images.node.lint.finding import Problems, error
from worker_images.node.lint.request import LaunchRequest


def problems(request: LaunchRequest) -> Problems:
    """Yield links that a hook cannot create; runsc ends with EOF if a hook fails."""
    files = ContainerFiles(request.root)
    read_only = set[str]()
    for index, mount in enumerate(request.specification.get("mounts") or ()):
        source = view.bind_source(request, mount)
        files.add(index, mount["destination"], source)
        if source and "ro" in (mount.get("options") or ()):
            read_only.add(files.resolve(mount["destination"]))
    for index, link in toolkit_hooks.links(request):
        if cause := _cause(files, read_only, link):
            yield error(
                f"hooks.createContainer[{index}]",
                f"--link {link}: {cause}: the hook fails, and runsc ends with EOF",
                "remove the link from the hook, or the mount",
            )


def _cause(files: ContainerFiles, read_only: set[str], link: str) -> str:
    """Return why a hook cannot create a link; empty if it can."""
    if link.count("::") != 1:
        return "not TARGET::PATH"
    target, _, path = link.partition("::")
    place = files.place(path)
    behind = files.behind(place)
    if place in files.mounts:
        return f"{place} is a mount"
    if behind is None or _is_link(behind, target):
        return ""
    if (above := files.above(place)) in read_only:
        return f"{above} is mounted read-only"
    return f"{place} is a folder" if behind.is_dir() and not behind.is_symlink() else ""


def _is_link(path: Path, target: str) -> bool:
    try:
        return os.readlink(path) == target  # noqa: PTH115 - the target as it is written
    except OSError:
        return False
