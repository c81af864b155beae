"""The suite of a test layer, as one digest of the files that decide what its checks do."""

from collections.abc import Mapping
from pathlib import Path

from worker_images.files import files_digest, text_digest

# The rooms of the node's commands. Without verify: it starts the checks, which do not use it.
NODE = tuple(
    f"worker_images/node/{room}*.py"
    for room in ("", "bundle/", "driver/", "explain/", "lint/", "lint/rules/", "measure/", "pod/")
)
# Files of a layer's checks outside of its folder. Those of `workload` and `pod` travel with the GPU
# kit.
SHARED: Mapping[str, tuple[str, ...]] = {
    "image": (
        "tests/support/runsc_checks.py",
        "worker_images/harness/*.py",
        "worker_images/model/oci/*.py",
        "worker_images/model/drivers/*.py",
        "images/**/*.yaml",
    ),
    "workload": (
        "tests/support/runsc_checks.py",
        "worker_images/harness/options.py",
        "worker_images/model/oci/*.py",
        *NODE,
    ),
    "pod": (
        "tests/support/runsc_checks.py",
        "worker_images/harness/open_shell.py",
        "worker_images/harness/options.py",
        "worker_images/model/drivers/kernel.py",
        "worker_images/model/drivers/table.py",
        *NODE,
    ),
}


def digest(root: Path, layer: str, project: Path | None = None) -> str:
    """The digest of a layer's suite in a checkout or kit; empty if it has no such layer.

    The files that a project adds to a suite count too.
    """
    own = sorted(root.glob(f"tests/{layer}/**/*.py"))
    found = files_digest([*own, *_shared(root, layer)], root) if own else ""
    added = _shared(project, layer) if project and project != root else []
    return text_digest(found + files_digest(added, project)) if added and project else found


def _shared(folder: Path, layer: str) -> list[Path]:
    return [path for pattern in SHARED.get(layer, ()) for path in sorted(folder.glob(pattern))]
