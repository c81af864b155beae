"""The driver's libraries are those of the capabilities, and links do not lead outside."""

from pathlib import Path

import pytest

from tests.support import trees
from tests.support.trees import CONTAINER, SYSTEM, VERSION, cuda, names, read_with
from worker_images.node import spec
from worker_images.node.driver import lists
from worker_images.node.driver.capabilities import ALL


def test_lists_of_libraries_are_those_of_the_capabilities_of_all() -> None:
    """The class without a name has the libraries that sandboxes never need."""
    assert {*lists.LISTS["classes"]} == {*ALL, ""}


def test_unknown_library_of_the_driver_is_taken_for_compute(tmp_path: Path) -> None:
    """A library of a newer driver is not in any list: libcuda may need it."""
    files = [f"{SYSTEM}/{name}.so.{VERSION}" for name in ("libcuda", "libnvidia-new", "libEGL")]
    seen = spec.with_capabilities(read_with(tmp_path, *files), ("compute",))
    assert names(seen) == [f"libcuda.so.{VERSION}", f"libnvidia-new.so.{VERSION}"]


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        (("compute", "utility"), ["libcuda", "libnvidia-ml", "libnvidia-nvvm70"]),
        (("utility",), ["libnvidia-ml"]),
        (("compute", "video"), ["libcuda", "libnvcuvid", "libnvidia-nvvm70", "libvdpau_nvidia"]),
        (("graphics",), ["libGLX_nvidia", "libnvidia-egl-gbm"]),
    ],
)
def test_libraries_are_those_of_the_capabilities(
    capabilities: tuple[str, ...], expected: list[str], tmp_path: Path
) -> None:
    """Libraries with another version than the driver's are taken where NVIDIA's list has them."""
    named = [
        *(f"{name}.so.{VERSION}" for name in ("libcuda", "libnvidia-ml", "libnvcuvid")),
        *(f"libGLX_nvidia.so.{VERSION}", f"libnvidia-gtk3.so.{VERSION}"),
        *(f"vdpau/libvdpau_nvidia.so.{VERSION}", f"libnvidia-ngx.so.{VERSION}"),
        *("libnvidia-nvvm70.so.4", "libnvidia-egl-gbm.so.1.1.2", "libcudart.so.13"),
        "libnvidia-nvvm70.so.570.124.06",
    ]
    files = [*(f"{SYSTEM}/{name}" for name in named), "usr/share/glvnd/egl_vendor.d/10_nvidia.json"]
    seen = spec.with_capabilities(read_with(tmp_path, *files), capabilities)
    assert [name.partition(".so")[0] for name in names(seen)] == expected
    files_of_graphics = [to for _, to in seen.configuration]
    wanted = ["/usr/share/glvnd/egl_vendor.d/10_nvidia.json"] if "graphics" in capabilities else []
    assert files_of_graphics == wanted


@pytest.mark.parametrize(
    "target",
    [
        "{secret}",
        "../../../../../../../../../../../..{secret}",
        "loop",
        "/proc/self/root{secret}",
    ],
)
@pytest.mark.parametrize("place", [CONTAINER, SYSTEM])
def test_links_of_a_hostile_root_do_not_lead_outside(
    place: str, target: str, tmp_path: Path
) -> None:
    secret = tmp_path / f"libnvidia-ml.so.{VERSION}"
    trees.write(secret, trees.content("libnvidia-ml.so", 62))
    link = f"{place}/libnvidia-ml.so.{VERSION}"
    links = {link: target.format(secret=secret), f"{place}/loop": "loop"}
    seen = read_with(tmp_path, cuda(place), links=links)
    assert names(seen) == [f"libcuda.so.{VERSION}"]


@pytest.mark.parametrize("name", ["usr", "usr/lib64"])
def test_folders_of_a_hostile_root_do_not_lead_outside(name: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    trees.write(outside / cuda("usr/lib64"), trees.content("libcuda.so", 62))
    links = {f"run/nvidia/driver/{name}": f"{outside}/{name}"}
    assert read_with(tmp_path, links=links).libraries == ()


def test_file_with_a_name_of_another_is_not_taken(tmp_path: Path) -> None:
    """A link libcuda.so.580.159.04 to any other file of the node would mount that file."""
    links = {f"{SYSTEM}/libnvidia-ml.so.{VERSION}": "/usr/lib64/libcrypto.so.3"}
    seen = read_with(tmp_path, cuda(SYSTEM), "usr/lib64/libcrypto.so.3", links=links)
    assert names(seen) == [f"libcuda.so.{VERSION}"]
