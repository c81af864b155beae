"""Which images were built here, by the records of builds."""

import json
from pathlib import Path

# A checkout has a record for each variant; a GPU kit has one for its image.
RECORDS = ("out/*/build.json", "build.json")


def built_here(root: Path, identity: str) -> bool:
    """Whether a record of a checkout or a kit names an image, by its image ID or engine ID."""
    return any(identity in _identities(path) for pattern in RECORDS for path in root.glob(pattern))


def _identities(record: Path) -> set[str]:
    """The names of the image that a record describes; empty for an invalid record."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    named = (
        (found.get(name) for name in ("image_id", "engine_id")) if isinstance(found, dict) else ()
    )
    return {name for name in named if isinstance(name, str) and name}
