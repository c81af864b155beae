"""The entries that a container sees: those of each layer over the earlier ones."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker_images.model.oci.image import Entry

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


def merged(layers: Iterable[Sequence["Entry"]]) -> dict[str, "Entry"]:
    """The entries of all layers by path, without those that a later layer hides or replaces."""
    view = _View()
    for entries in layers:
        # A whiteout hides files of earlier layers, not of its own.
        for entry in entries:
            if entry.kind == "whiteout":
                view.hide(entry)
        for entry in entries:
            if entry.kind != "whiteout":
                view.put(entry)
    return view.entries


def hidden(whiteout: "Entry") -> str:
    """The path that a whiteout removes, or the folder that an opaque one empties."""
    folder, _, name = whiteout.path.rpartition("/")
    return (folder or "/") if name == OPAQUE else f"{folder}/{name.removeprefix(WHITEOUT)}"


class _View:
    """Entries by path, and the paths directly below each folder."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.below: dict[str, set[str]] = {}

    def put(self, entry: "Entry") -> None:
        """Add an entry; one that is not a folder replaces everything below its path."""
        if entry.kind != "folder":
            self._drop_below(entry.path)
        self.entries[entry.path] = entry
        path = entry.path
        while path != "/":
            folder = path.rpartition("/")[0] or "/"
            siblings = self.below.setdefault(folder, set())
            if path in siblings:
                return
            siblings.add(path)
            path = folder

    def hide(self, whiteout: "Entry") -> None:
        """Remove what a whiteout hides."""
        path = hidden(whiteout)
        if not whiteout.path.endswith(f"/{OPAQUE}"):
            self.entries.pop(path, None)
        self._drop_below(path)

    def _drop_below(self, folder: str) -> None:
        waiting = [*self.below.pop(folder, ())]
        while waiting:
            path = waiting.pop()
            self.entries.pop(path, None)
            waiting += self.below.pop(path, ())
