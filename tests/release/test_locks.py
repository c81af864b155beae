"""Is what a release reads locked while it reads it?"""

import fcntl

from tests.support.registry_proxy import Fault
from tests.support.sites import Site
from worker_images.files import ROOT


def test_folder_of_an_image_is_locked_until_it_is_published(site: Site) -> None:
    """Another build of slim waits and names the release."""
    seen = []

    def look() -> bool:
        with (ROOT / "out/slim/.lock").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                seen.append(file.read().partition(" ")[2])
        return True

    site.proxy.faults = [Fault("^(PUT|POST)", look), Fault("PUT .*/manifests/locked-slim", look)]
    done = site.release("slim", "locked")
    assert done.returncode == 0, done.stderr
    assert seen == 2 * [f"is releasing locked to {site.target}"]
    with (ROOT / "out/slim/.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
