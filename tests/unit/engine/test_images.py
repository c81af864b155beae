"""Removal of images."""

import pytest

from tests.support import engines
from worker_images.engine import images
from worker_images.engine.daemon import Address
from worker_images.errors import EngineError

TESTED, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


@pytest.mark.parametrize(("status", "fails"), [(409, False), (404, False), (500, True)])
def test_image_in_use_is_not_removed(status: int, fails: bool, loopback: engines.Engine) -> None:
    """Another test run may have a container of the same image."""
    loopback.answer(f"/images/{TESTED}/json", {"Id": TESTED, "RepoTags": []})
    loopback.answer(
        f"/images/{TESTED}", {"message": "unable to delete: image is being used"}, status
    )
    if fails:
        with pytest.raises(EngineError, match="unable to delete"):
            images.Images(Address(loopback.host)).remove(TESTED)
        return
    images.Images(Address(loopback.host)).remove(TESTED)
    assert f"DELETE /images/{TESTED}" in loopback.requests
