"""How the later layers of a derived image change the worker image."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from worker_images.harness import closed_world
from worker_images.harness.closed_world import Declared
from worker_images.harness.derived import CA_BUNDLE, TOOLKIT, Fault
from worker_images.harness.updates import Updates
from worker_images.model.oci.image import Entry, Image, Layer, plain
from worker_images.model.oci.view import OPAQUE, hidden

RECORDS = "/var/lib/dpkg/"
# Files whose contents later layers may change.
ACCOUNTS = ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")
CHANGEABLE = {"/etc/ld.so.cache", *(f"/etc/{name}{end}" for name in ACCOUNTS for end in ("", "-"))}


def changes(image: Image, worker: Image, updates: Updates) -> Iterator[Fault]:
    """Yield each path of the worker image that a later layer replaces or removes."""
    seen = _Seen(worker.merged, updates)
    for layer in image.layers[len(worker.layers) :]:
        seen.begin(layer)
        for entry in (*layer.root, *layer.entries):
            path = entry.path
            if what := seen.written_through(path):
                pass
            elif entry.kind == "whiteout":
                path, what = hidden(entry), seen.removal(entry)
            else:
                what = seen.replacement(image, entry, updates.declared.get(path))
            seen.end(entry)
            if what:
                yield Fault(_rule(path), path, f"{what}; {closed_world.origin(image, entry)}")


def _rule(path: str) -> str:
    if path == CA_BUNDLE:
        return "certificates"
    return "toolkit" if TOOLKIT in path else "replaced"


def is_changeable(path: str) -> bool:
    """Whether later layers may change the contents of a path."""
    return path in CHANGEABLE or path.startswith(RECORDS)


class _Seen:
    """The worker image's paths, and the links of it and of the layers read so far."""

    def __init__(self, view: Mapping[str, Entry], updates: Updates) -> None:
        # Layers need not hold the root.
        self.view = {"/": plain("/", "folder", "0755"), **view}
        self.above = {str(parent) for path in view for parent in PurePosixPath(path).parents}
        self.others = {path for path, entry in view.items() if entry.kind != "folder"}
        self.own: set[str] = set()
        self.kept = {
            path for path in view if not is_changeable(path) and path not in updates.removed
        }
        # How many of them are below each folder.
        self.kept_below = Counter(
            str(parent) for path in self.kept for parent in PurePosixPath(path).parents
        )

    def begin(self, layer: Layer) -> None:
        """Take the links of a layer, also those that follow what is below them."""
        self.own = set()
        self.others |= {entry.path for entry in layer.entries if entry.kind == "link"}

    def end(self, entry: Entry) -> None:
        """Take an entry in its order: what is below it may follow it, but not precede it."""
        self.own.add(entry.path)
        if entry.kind == "whiteout":
            self.others.discard(hidden(entry))
        elif entry.kind == "folder":
            self.others.discard(entry.path)

    def written_through(self, path: str) -> str:
        """Whether a folder above a path is a link: engines follow or replace it."""
        end = path.rfind("/")
        while end > 0:
            if (parent := path[:end]) in self.others:
                return f"is below {parent}, which is not a folder; engines may write elsewhere"
            end = path.rfind("/", 0, end)
        return ""

    def removal(self, whiteout: Entry) -> str:
        """What a whiteout removes of the worker image."""
        path, is_opaque = hidden(whiteout), whiteout.path.endswith(f"/{OPAQUE}")
        lost = self.kept_below[path] + (path in self.kept and not is_opaque)
        return f"removes {lost} of the worker image's paths" if lost else ""

    def replacement(self, image: Image, entry: Entry, update: Declared | None) -> str:
        """How an entry changes the worker image."""
        if entry.kind == "hardlink" and (what := self._hard_link(entry)):
            return what
        before = self.view.get(entry.path)
        other_update = closed_world.fault(image, entry, update, set()) if update else ""
        if before is None:
            in_place = entry.path in self.above and entry.kind != "folder"
            # A link of the newer package may lead to a file that is new in it.
            return f"a {entry.kind} in place of a folder" if in_place else other_update
        if entry.kind == before.kind == "file" and is_changeable(entry.path):
            is_safe = entry.user == 0 and not entry.mode & 0o022
            return (
                ""
                if is_safe
                else f"{entry.mode:04o} {entry.user}:{entry.group}, want owner 0 and no g+w or o+w"
            )
        own, other = closed_world.describe(entry), closed_world.describe(before)
        if (update and not other_update) or (own == other and _is_equal(image, entry, before)):
            return ""
        difference = f"{own}; the worker image has {other}" if own != other else ""
        return difference or "its contents differ from the worker image's"

    def _hard_link(self, entry: Entry) -> str:
        """A hard link sets the mode and the owner of its target."""
        if entry.target not in self.own:
            return f"a hard link to {entry.target}, which is not before it in its layer"
        target = self.view.get(entry.target)
        rights = (entry.mode, entry.user, entry.group)
        if target and rights != (target.mode, target.user, target.group):
            return f"a hard link that changes the mode or the owner of {entry.target}"
        return ""


def _is_equal(image: Image, entry: Entry, before: Entry) -> bool:
    return before.kind != "file" or image.sha256(entry) == image.sha256(before)
