"""Bundles are written completely or not at all."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from worker_images.node import stand_in
from worker_images.node.bundle import bundle
from worker_images.node.node import Node
from worker_images.node.selection import SpecError
from worker_images.node.spec import Container
from worker_images.node.stand_in import DRIVER

CONTAINER = Container(Path("/run/rootfs"), ("true",), {})


def test_bundle_has_mount_points_and_links(gpus: Node, tmp_path: Path) -> None:
    """Each driver file has an empty file, each library has links; writing again changes nothing."""
    folder = tmp_path / "bundle"
    config = bundle.write(gpus, CONTAINER, folder)
    assert bundle.write(gpus, CONTAINER, folder) == config
    assert json.loads((folder / "config.json").read_text()) == config
    libraries = folder / "driver/lib64"
    links = {path.name: str(path.readlink()) for path in libraries.iterdir() if path.is_symlink()}
    assert links == {
        "libcuda.so.1": f"libcuda.so.{DRIVER}",
        "libcuda.so": f"libcuda.so.{DRIVER}",
        "libnvidia-ml.so": f"libnvidia-ml.so.{DRIVER}",
    }
    assert {
        path.name: path.stat().st_size for path in libraries.iterdir() if not path.is_symlink()
    } == {path.name: 0 for path in gpus.libraries}
    assert (folder / "driver/bin/nvidia-smi").stat().st_mode & 0o777 & ~0o022 == 0o755 & ~0o022


def test_bundle_has_mount_points_only_of_its_capabilities(gpus: Node, tmp_path: Path) -> None:
    video = tmp_path / "files" / f"libnvcuvid.so.{DRIVER}"
    video.write_bytes(stand_in.elf_library("libnvcuvid.so.1"))
    node = replace(gpus, libraries=(*gpus.libraries, video))
    bundle.write(node, CONTAINER, tmp_path / "plain")
    bundle.write(node, replace(CONTAINER, capabilities=("compute", "video")), tmp_path / "video")
    assert not list((tmp_path / "plain/driver/lib64").glob("libnvcuvid*"))
    assert (tmp_path / "video/driver/lib64/libnvcuvid.so.1").readlink() == Path(video.name)
    assert not list((tmp_path / "video/driver/lib64").glob("libnvidia-ml*"))


def test_library_without_a_driver_version_has_its_links(gpus: Node, tmp_path: Path) -> None:
    """libnvidia-nvvm70.so.4 is its own SONAME."""
    library = tmp_path / "files/libnvidia-nvvm70.so.4"
    library.write_bytes(stand_in.elf_library("libnvidia-nvvm70.so.4"))
    node = replace(gpus, libraries=(*gpus.libraries, library))
    found = bundle.write(node, CONTAINER, tmp_path / "bundle")
    folder = tmp_path / "bundle/driver/lib64"
    assert (folder / "libnvidia-nvvm70.so").readlink() == Path(library.name)
    assert not (folder / library.name).is_symlink()
    destinations = [mount["destination"] for mount in found["mounts"]]
    assert f"/usr/local/nvidia/lib64/{library.name}" in destinations


@pytest.mark.parametrize("name", ["libc.so.6", "..", ".", "../../job", "", "libcuda.sox"])
def test_link_has_the_name_of_its_own_library(name: str, gpus: Node, tmp_path: Path) -> None:
    """A link libc.so.6 would come before the library of the user's image."""
    gpus.libraries[0].write_bytes(stand_in.elf_library(name))
    bundle.write(gpus, CONTAINER, tmp_path / "bundle")
    folder = tmp_path / "bundle/driver/lib64"
    links = sorted(path.name for path in folder.iterdir() if path.is_symlink())
    assert links == ["libcuda.so", "libnvidia-ml.so"]


def test_library_without_a_number_has_no_link(gpus: Node, tmp_path: Path) -> None:
    library = tmp_path / "files/libnvidia-tileiras.so"
    library.write_bytes(stand_in.elf_library("libnvidia-tileiras.so"))
    bundle.write(replace(gpus, libraries=(library,)), CONTAINER, tmp_path / "bundle")
    names = [path.name for path in (tmp_path / "bundle/driver/lib64").iterdir()]
    assert names == ["libnvidia-tileiras.so"]


def test_second_bundle_has_nothing_of_the_first(gpus: Node, tmp_path: Path) -> None:
    """The driver was upgraded, or fewer capabilities are asked for; other files remain."""
    libraries = tmp_path / "bundle/driver/lib64"
    bundle.write(gpus, CONTAINER, tmp_path / "bundle")
    (libraries / "notes").write_text("kept")
    (libraries / "folder").mkdir()
    newer = tmp_path / "files/libcuda.so.595.1.1"
    newer.write_bytes(stand_in.elf_library("libcuda.so.1"))
    node = replace(gpus, libraries=(newer,), programs=())
    bundle.write(node, CONTAINER, tmp_path / "bundle")
    assert {path.name for path in libraries.iterdir()} == {
        *("folder", "libcuda.so", "libcuda.so.1", "libcuda.so.595.1.1", "notes"),
    }
    assert (libraries / "libcuda.so.1").resolve().name == "libcuda.so.595.1.1"
    assert list((tmp_path / "bundle/driver/bin").iterdir()) == []


def test_failed_bundle_leaves_no_folder(gpus: Node, tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        bundle.write(gpus, replace(CONTAINER, gpus="5"), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
