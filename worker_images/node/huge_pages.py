"""The machine's settings of huge pages: whether runsc uses them for the memory of programs."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from worker_images.node.place import PlaceError

FOLDER = Path("/sys/kernel/mm/transparent_hugepage")
# Huge pages for the memory that processes share, as runsc's memory of programs is; and whether the
# kernel compacts memory for them.
SHARED, COMPACTION = FOLDER / "shmem_enabled", FOLDER / "defrag"
# With advise runsc asks for huge pages itself, but restores were slower (docs/checkpoints.md), and
# the usual value of defrag prevents it: createMemoryFile of gVisor's runsc/boot/loader.go.
SETTINGS = {SHARED: "within_size"}
NEVER = {SHARED: "never"}
WITHOUT_ADVICE = {"always", "within_size", "force"}


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
        return {path.name: chosen(path.read_text()) for path in (SHARED, COMPACTION)}
    return {}


def text(settings: Mapping[str, str]) -> str:
    """Return settings as words, such as `shmem_enabled never, defrag madvise`."""
    return ", ".join(f"{name} {value}" for name, value in settings.items()) or "unknown"


def are_given(settings: Mapping[str, str]) -> bool:
    """Report if the kernel gives runsc huge pages without being asked for them."""
    return settings.get(SHARED.name) in WITHOUT_ADVICE
