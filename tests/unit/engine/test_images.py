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


def test_list_of_images_is_repeated_while_one_is_removed(
    loopback: engines.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine answers 404 for the whole list while another process removes an image."""
    monkeypatch.setattr(images, "LIST_ATTEMPTS", 3)
    with pytest.raises(EngineError, match="no such image"):
        images.Images(Address(loopback.host)).identities()
    assert loopback.requests.count("GET /images/json") == 3
    loopback.answer("/images/json", [{"Id": TESTED}])
    assert images.Images(Address(loopback.host)).identities() == {TESTED}
