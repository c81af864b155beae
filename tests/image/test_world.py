"""Is every path of every layer declared, and nothing missing, changed or hidden?"""

import stat
from collections.abc import Mapping

import pytest

from worker_images.harness import closed_world, dpkg, expect, libraries
from worker_images.harness.closed_world import Declared
from worker_images.harness.collection import Case
from worker_images.harness.dpkg import Installed
from worker_images.model.oci.image import Entry, Image

pytestmark = pytest.mark.source("packages")


@pytest.mark.mode("built")
def test_every_installed_package_is_needed(packages: Mapping[str, Installed], case: Case) -> None:
    wanted = [*case.catalog.packages.base, *case.debian_packages]
    assert not dpkg.unneeded(packages, wanted)


def test_requested_packages_are_installed(packages: Mapping[str, Installed], case: Case) -> None:
    """A control: the image has records of its packages."""
    assert set(case.catalog.packages.base) <= set(packages)


@pytest.mark.mode("built")
def test_packages_are_those_of_the_lock(packages: Mapping[str, Installed], case: Case) -> None:
    """Each installed package has the locked version, and no locked package is missing."""
    roots = ("base", *(name for name in case.components if case.is_debian(name)))
    locked = {
        package.name: package.version
        for root in roots
        for package in case.lock.packages[case.architecture].of(root)
    }
    excluded = case.rules.packages.keys()
    expected = {name: version for name, version in locked.items() if name not in excluded}
    assert {name: package.version for name, package in packages.items()} == expected


@pytest.mark.mode("built")
def test_dependencies_of_packages_are_installed(packages: Mapping[str, Installed]) -> None:
    """apt refuses to install packages in a derived image where a dependency is missing."""
    assert dpkg.unmet(packages) == set()


@pytest.mark.mode("built")
def test_excluded_packages_are_absent(packages: Mapping[str, Installed], case: Case) -> None:
    assert not case.rules.packages.keys() & packages.keys()


@pytest.mark.mode("built")
def test_dropped_paths_are_absent_from_every_layer(image: Image, case: Case) -> None:
    assert closed_world.leftovers(image, case.rules) == []


@pytest.mark.mode("built")
def test_programs_find_their_shared_libraries(image: Image) -> None:
    """Each library that an ELF file needs is in the image."""
    assert libraries.needed(image)["/usr/bin/ip"] >= {"libc.so.6"}
    assert libraries.missing(image) == {}


@pytest.mark.mode("built")
def test_programs_are_built_for_the_architecture(image: Image, case: Case) -> None:
    """Each ELF file is for the architecture of the image, also a library."""
    assert libraries.foreign(image, case.architecture) == set()


@pytest.mark.mode("built")
def test_every_path_of_every_layer_is_declared(
    image: Image, declared: Mapping[str, Declared], case: Case
) -> None:
    found = closed_world.findings(image, declared, case.rules)
    assert not found, "\n".join(found)


@pytest.mark.mode("built")
def test_times_are_those_of_packages_or_the_pinned_one(
    image: Image, declared: Mapping[str, Declared], case: Case
) -> None:
    """No file has the time of a build."""
    found = closed_world.other_times(image, declared, int(case.pins.file_time))
    assert not found, "\n".join(found)


@pytest.mark.mode("built")
def test_special_files_and_modes_are_declared(image: Image, case: Case) -> None:
    """They include setuid bits, world-writable paths, devices, pipes and file capabilities."""
    assert {entry.path for entry in image.entries if _special(entry)} == set(
        expect.base(case.root).special
    )


def _special(entry: Entry) -> bool:
    mode = (
        entry.mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX | stat.S_IWOTH)
        and entry.kind != "link"
    )
    return bool(mode or entry.kind in {"device", "fifo"} or entry.attributes)


@pytest.mark.mode("built")
def test_no_layer_deletes_files_of_another(image: Image) -> None:
    assert not [entry.path for entry in image.entries if entry.kind == "whiteout"]


@pytest.mark.mode("built")
def test_every_link_has_a_target(image: Image) -> None:
    """A symbolic link has its target in the image, a hard link in its own layer."""
    merged = image.merged
    dangling = [
        path for path, entry in merged.items() if entry.kind == "link" and image.find(path) is None
    ]
    hard = [entry for entry in image.entries if entry.kind == "hardlink"]
    broken = [
        entry.path
        for entry in hard
        if all(each.path != entry.target for each in image.layers[entry.layer].entries)
    ]
    assert merged
    assert not dangling + broken
