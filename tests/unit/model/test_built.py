"""Images that were built here are known by the records of builds."""

import json
from pathlib import Path

import pytest

from worker_images.model.built import built_here

IMAGE, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


@pytest.mark.parametrize("place", ["out/slim/build.json", "build.json"])
@pytest.mark.parametrize("key", ["image_id", "engine_id"])
def test_recorded_image_was_built_here(place: str, key: str, tmp_path: Path) -> None:
    """A checkout has its records below out, and a kit has one beside its image."""
    assert not built_here(tmp_path, IMAGE)
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({key: IMAGE, "revision": OTHER}))
    assert built_here(tmp_path, IMAGE)
    assert not built_here(tmp_path, OTHER)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"image_id": ""}', '{"image_id": [""]}', "\udcff"]
)
def test_invalid_record_names_no_image(text: str, tmp_path: Path) -> None:
    """An image without a known ID, such as an unpacked root, was not built here."""
    (tmp_path / "build.json").write_bytes(text.encode(errors="surrogateescape"))
    assert not built_here(tmp_path, "")
    assert not built_here(tmp_path, IMAGE)
