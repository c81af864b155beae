"""Settings of the machine with which runsc uses huge pages, while something is measured."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from worker_images.node.place import PlaceError

FOLDER = Path("/sys/kernel/mm/transparent_hugepage")
# With advise runsc uses huge pages only if the kernel does not compact memory for them.
SETTINGS = {FOLDER / "shmem_enabled": "advise", FOLDER / "defrag": "defer"}
NEVER = {FOLDER / "shmem_enabled": "never"}


@contextlib.contextmanager
def applied(settings: Mapping[Path, str]) -> Iterator[None]:
    """Change settings of the machine, by file, and restore them; raises PlaceError."""
    with contextlib.ExitStack() as restored:
        for path, value in settings.items():
            try:
                restored.callback(path.write_text, chosen(path.read_text()))
                path.write_text(value)
            except OSError as error:
                raise PlaceError(f"{path}: {error.strerror}; run as root") from error
        yield


def chosen(setting: str) -> str:
    """Return the word in brackets of a setting such as `always [madvise] never`."""
    return setting.partition("[")[2].partition("]")[0] or setting.strip()


def current() -> str:
    """Return the machine's settings, such as `shmem_enabled never, defrag madvise`."""
    with contextlib.suppress(OSError):
        return ", ".join(f"{path.name} {chosen(path.read_text())}" for path in SETTINGS)
    return "unknown"
