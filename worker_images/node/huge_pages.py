"""The machine's settings of huge pages: whether runsc uses them for the memory of programs."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from worker_images.node.place import PlaceError

FOLDER = Path("/sys/kernel/mm/transparent_hugepage")
SHARED, COMPACTION = "shmem_enabled", "defrag"
# With advise runsc uses huge pages only if the kernel does not compact memory for them alone:
# createMemoryFile of gVisor's runsc/boot/loader.go.
SETTINGS = {FOLDER / SHARED: "advise", FOLDER / COMPACTION: "defer"}
NEVER = {FOLDER / SHARED: "never"}
ALWAYS_USED, USED_WITH_ADVISE = {"always", "within_size", "force"}, {"always", "defer", "never"}


@contextlib.contextmanager
def applied(settings: Mapping[Path, str]) -> Iterator[None]:
    """Change settings of the machine, by file, and restore them; raises PlaceError."""
    with contextlib.ExitStack() as restored:
        for path, value in settings.items():
            try:
                restored.callback(path.write_text, chosen(path.read_text()))
                path.write_text(value)
            except PermissionError as error:
                raise PlaceError(f"{path}: {error.strerror}; run as root") from error
            except OSError as error:
                raise PlaceError(
                    f"{path}: {error.strerror}; run on the node itself, with a kernel that has"
                    " huge pages for shared memory"
                ) from error
        yield


def chosen(setting: str) -> str:
    """Return the word in brackets of a setting such as `always [madvise] never`."""
    return setting.partition("[")[2].partition("]")[0] or setting.strip()


def current() -> dict[str, str]:
    """Return the machine's settings by name; empty for a kernel without huge pages."""
    with contextlib.suppress(OSError):
        return {path.name: chosen(path.read_text()) for path in SETTINGS}
    return {}


def text(settings: Mapping[str, str]) -> str:
    """Return settings as words, such as `shmem_enabled never, defrag madvise`."""
    return ", ".join(f"{name} {value}" for name, value in settings.items()) or "unknown"


def are_used(settings: Mapping[str, str]) -> bool:
    """Report if runsc uses huge pages with these settings."""
    shared, compaction = settings.get(SHARED, ""), settings.get(COMPACTION, "")
    return shared in ALWAYS_USED or (shared == "advise" and compaction in USED_WITH_ADVISE)
