"""Is everything in the image declared by somebody, and nothing missing, altered, hidden or
dangerous?
"""

import stat
from collections.abc import Mapping

import pytest

from worker_images.files import ROOT
from worker_images.harness import closed_world, expect, libraries
from worker_images.harness.closed_world import Control, Declared
from worker_images.harness.collection import Case
from worker_images.model import rootfs
from worker_images.model.oci.image import Entry, Image

pytestmark = pytest.mark.source("packages")


@pytest.mark.mode("built")
def test_no_package_is_there_without_need(packages: Mapping[str, Control], case: Case) -> None:
    wanted = [*case.catalog.packages.base, *case.debian_packages]
    assert not closed_world.unneeded(packages, wanted)


def test_every_package_that_was_asked_for_is_there(
    packages: Mapping[str, Control], case: Case
) -> None:
    """The control of the test above: an empty record has nothing that is unneeded."""
    assert set(case.catalog.packages.base) <= set(packages)


@pytest.mark.mode("built")
def test_packages_have_every_dependency_they_name(packages: Mapping[str, Control]) -> None:
    """Else apt would install nothing in a derived image."""
    assert closed_world.unmet(packages) == set()


@pytest.mark.mode("built")
def test_left_out_packages_are_absent(packages: Mapping[str, Control]) -> None:
    assert not rootfs.load(ROOT).packages.keys() & packages.keys()


@pytest.mark.mode("built")
def test_dropped_paths_are_absent_from_every_layer(image: Image) -> None:
    assert closed_world.leftovers(image, rootfs.load(ROOT)) == []


@pytest.mark.mode("built")
def test_programs_find_their_shared_libraries(image: Image) -> None:
    """No library that a program or another library names was dropped or left out."""
    assert libraries.needed(image)["/usr/bin/ip"] >= {"libc.so.6"}
    assert libraries.missing(image) == {}


@pytest.mark.mode("built")
def test_every_path_of_every_layer_is_declared(
    image: Image, declared: Mapping[str, Declared]
) -> None:
    found = closed_world.findings(image, declared, rootfs.load(ROOT))
    assert not found, "\n".join(found)


@pytest.mark.mode("derived")
def test_what_is_not_ours_is_listed(
    image: Image, declared: Mapping[str, Declared], case: Case, listed: list[str]
) -> None:
    """A derived image may hold anything; what it adds or changes is told, for its owner to read."""
    listed += closed_world.findings(image, declared, rootfs.load(ROOT))
    assert len(image.layers) >= 1 + len(case.components), (
        "fewer layers than ours: this is not made from it"
    )


@pytest.mark.mode("built")
def test_what_could_be_a_danger_is_declared(image: Image) -> None:
    """Setuid, setgid and sticky bits, what everyone may write to, devices, pipes and file
    capabilities.
    """
    assert {entry.path for entry in image.entries if _special(entry)} == set(
        expect.base(ROOT).special
    )


def _special(entry: Entry) -> bool:
    rights = (
        entry.mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX | stat.S_IWOTH)
        and entry.kind != "link"
    )
    return bool(rights or entry.kind in {"device", "fifo"} or entry.attributes)


@pytest.mark.mode("built")
def test_no_layer_hides_what_another_holds(image: Image) -> None:
    assert not [entry.path for entry in image.entries if entry.kind == "whiteout"]


@pytest.mark.mode("built")
def test_every_link_leads_to_something(image: Image) -> None:
    """Symbolic links inside the image, hard links inside their layer."""
    view = image.merged
    dangling = [
        path for path, entry in view.items() if entry.kind == "link" and image.find(path) is None
    ]
    hard = [entry for entry in image.entries if entry.kind == "hardlink"]
    lost = [
        entry.path
        for entry in hard
        if all(each.path != entry.target for each in image.layers[entry.layer].entries)
    ]
    assert view
    assert not dangling + lost
