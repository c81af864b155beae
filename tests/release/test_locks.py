"""Is what a release reads locked while it reads it?"""

import fcntl

from tests.support.registry_proxy import Fault
from tests.support.shops import Shop
from worker_images.files import ROOT


def test_folder_of_an_image_is_locked_until_it_is_published(shop: Shop) -> None:
    """Another build of slim waits and names the release."""
    seen = []

    def look() -> bool:
        with (ROOT / "out/slim/.lock").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                seen.append(file.read().partition(" ")[2])
        return True

    shop.proxy.faults = [Fault("^(PUT|POST)", look), Fault("PUT .*/manifests/locked-slim", look)]
    done = shop.release("slim", "locked")
    assert done.returncode == 0, done.stderr
    assert seen == 2 * [f"is releasing locked to {shop.target}"]
    with (ROOT / "out/slim/.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
