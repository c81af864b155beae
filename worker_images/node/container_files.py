"""The files that a program in the container sees: its root, and mounts over it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from worker_images.node.launch_request import LaunchRequest
from worker_images.node.launch_view import is_bind

MAX_LINKS = 40


@dataclass
class ContainerFiles:
    """A container's root on the node, and its mounts: source on the node, and order.

    A source is None if nothing of the node is behind it, as in a tmpfs.
    """

    root: Path | None
    mounts: dict[str, tuple[int, Path | None]] = field(default_factory=dict)

    @classmethod
    def of(cls, request: LaunchRequest) -> "ContainerFiles":
        """Return the files of a container.

        runsc mounts in the order of the specification: a mount hides earlier ones below it.
        """
        files = cls(request.root)
        for index, mount in enumerate(request.specification.get("mounts") or ()):
            source = request.source(mount) if is_bind(mount) else None
            files.mounts[files.resolve(mount["destination"])] = (index, source)
        return files

    def resolve(self, path: str) -> str:
        """Follow the container's own links in all parts of a path."""
        done, waiting, links = "", _parts(path), 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                done = done.rpartition("/")[0]
                continue
            link = self._link(f"{done}/{part}") if links < MAX_LINKS else ""
            if link:
                links += 1
                done = "" if link.startswith("/") else done
                waiting += _parts(link)
            else:
                done = f"{done}/{part}"
        return done or "/"

    def _link(self, path: str) -> str:
        """Return the target of a link; the source of a mount is never one."""
        if path in self.mounts:
            return ""
        try:
            behind = self.behind(path)
            return str(behind.readlink()) if behind else ""
        except OSError:
            return ""

    def behind(self, path: str) -> Path | None:
        """Return the node's path behind a path that has no links; None if there is none."""
        newest, found = -1, self.root and Path(f"{self.root}{path}")
        above = path
        while above:
            index, source = self.mounts.get(above, (-1, None))
            if index > newest:
                newest, found = index, source and Path(f"{source}{path[len(above) :]}")
            above = above.rpartition("/")[0]
        return found

    def file(self, path: str) -> tuple[str, Path] | None:
        """Return the container's and the node's path of a regular file; None if there is none."""
        resolved = self.resolve(path)
        file = self.behind(resolved)
        # The source of a mount may be a link of the node.
        is_link = resolved not in self.mounts and file is not None and file.is_symlink()
        try:
            return (resolved, file) if file and file.is_file() and not is_link else None
        except OSError:
            return None

    def names(self, folder: str) -> Iterator[str]:
        """Yield the names in a folder, without those of mounts in it."""
        behind = self.behind(self.resolve(folder))
        try:
            yield from sorted(os.listdir(behind)) if behind else ()  # noqa: PTH208 - names alone
        except OSError:
            return


def _parts(path: str) -> list[str]:
    """Return the parts of a path, the last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
