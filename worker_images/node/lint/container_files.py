"""The files that a program in the container sees: its root, mounts over it, and links of hooks."""

import contextlib
import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from worker_images.node.inside import MAX_LINKS
from worker_images.node.lint import toolkit_hooks
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.lint.view import bind_source

# The parts of a path that links make longer.
MAX_PARTS = 1000


@dataclass
class ContainerFiles:
    """A container's root on the node, and its mounts by destination: their order, and their source.

    The source is None for a mount such as a tmpfs, behind which the node has nothing. `links` are
    those that hooks create, by path.
    """

    root: Path | None
    mounts: dict[str, tuple[int, Path | None]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, request: LaunchRequest) -> "ContainerFiles":
        """Return the files of a container."""
        files = cls(request.root)
        for index, mount in enumerate(request.specification.get("mounts") or ()):
            files.add(index, mount["destination"], bind_source(request, mount))
        for _, link in toolkit_hooks.links(request):
            target, _, path = link.partition("::")
            files.links[files.place(path)] = target
        return files

    def add(self, index: int, destination: str, source: Path | None) -> None:
        """Add the next mount of the specification."""
        self.mounts[self.resolve(destination)] = (index, source)

    def place(self, path: str) -> str:
        """Return the path at which a program creates a link: the last part is not followed."""
        folder, name = posixpath.split(posixpath.join("/", path))
        return posixpath.join(self.resolve(folder), name)

    def resolve(self, path: str) -> str:
        """Follow the container's own links in all parts of a path."""
        done, waiting, links, steps = "", _parts(path), 0, 0
        while waiting and steps < MAX_PARTS:
            part, steps = waiting.pop(), steps + 1
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
        return "/".join((done, *reversed(waiting))) or "/"

    def _link(self, path: str) -> str:
        """Return the target of a link; the source of a mount is never one."""
        if path in self.mounts:
            return ""
        try:
            behind = self.behind(path)
            return (self.links.get(path) or str(behind.readlink())) if behind else ""
        except OSError:
            return ""

    def above(self, path: str) -> str:
        """Return the deepest destination of a mount above a path that has no links, or nothing."""
        parents = (str(each) for each in PurePosixPath(path).parents)
        return next((each for each in parents if each in self.mounts), "")

    def behind(self, path: str) -> Path | None:
        """Return the node's path behind a path that has no links; None if there is none."""
        holder = self.holder(path)
        if holder is None:
            return None
        source = self.mounts[holder][1] if holder else self.root
        return source and Path(f"{source}{path[len(holder) :]}")

    def holder(self, path: str) -> str | None:
        """Return the destination of the bind mount that holds a path; empty for the root.

        None is a mount of the sandbox itself. runsc makes bind mounts in the order of the
        specification: one hides earlier ones below it. Mounts of the sandbox itself, such as a
        tmpfs, hide only what no longer path is mounted on.
        """
        newest, found = -1, ""
        above, is_deepest = path, True
        while above:
            index, source = self.mounts.get(above, (-1, None))
            if index >= 0 and source is None and is_deepest:
                return None
            if source and index > newest:
                newest, found = index, above
            is_deepest = is_deepest and index < 0
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
        resolved = self.resolve(folder)
        behind = self.behind(resolved)
        links = (posixpath.split(each) for each in self.links)
        names = {name for parent, name in links if parent == resolved}
        with contextlib.suppress(OSError):
            names |= {*os.listdir(behind)} if behind else set()  # noqa: PTH208 - names alone
        yield from sorted(names)


def _parts(path: str) -> list[str]:
    """Return the parts of a path, the last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
