"""The driver's files are found wherever a node keeps them."""

import os
import platform
from pathlib import Path

import pytest

from tests.support import trees
from tests.support.trees import (
    CONTAINER,
    GKE,
    LAUNCH,
    PLACES,
    PROC,
    SYSTEM,
    VERSION,
    Tree,
    cuda,
    names,
    read_with,
)
from worker_images.model.drivers import kernel
from worker_images.model.oci.elf import MACHINES
from worker_images.node import node, spec
from worker_images.node.driver import capabilities, lists

TREES = sorted(PLACES.glob("*.tree.json"))


def laid_out(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Lay a tree out, with its loader's cache."""
    root = tmp_path / "node"
    root.mkdir()
    monkeypatch.setenv("PATH", f"{root}-programs:{os.environ['PATH']}")
    return trees.read(file, root)


def found(names: tuple[Path, ...]) -> list[str]:
    return [str(path) for path in names]


@pytest.mark.parametrize("file", TREES, ids=[file.name.partition(".tree")[0] for file in TREES])
def test_driver_is_found_in_each_place(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every tree names its place, libraries and programs; 32-bit files are never taken."""
    tree = laid_out(file, tmp_path, monkeypatch)
    seen = node.read(tree.root)
    assert seen.source == tree.description["found"]["source"].replace("@", str(tree.root))
    assert found(seen.libraries) == tree.names("libraries")
    assert found(seen.programs) == tree.names("programs")
    expected = tree.description.get("configuration", {})
    assert {str(path.relative_to(tree.root)): to for path, to in seen.configuration} == expected


def test_each_place_has_a_tree() -> None:
    """Only the toolkit's place has none: it needs a program of this machine."""
    texts = "".join(file.read_text() for file in TREES)
    missing = [place.name for place in lists.PLACES if place.name not in texts]
    assert missing == ["nvidia-ctk cdi generate"]


def test_each_place_has_a_source() -> None:
    assert [place.name for place in lists.PLACES if len(place.source) < 10] == []


@pytest.mark.parametrize(
    ("report", "place", "count"),
    [("60-operator-root-rhcos", "a driver container", 4), ("62-nvvm70", "a device plugin", 7)],
)
def test_reported_driver_is_found_with_all_its_libraries(
    report: str, place: str, count: int, tmp_path: Path
) -> None:
    """dra-driver-nvidia-gpu#4, and nvidia-container-toolkit#1875: libnvidia-nvvm70.so.4 is one."""
    tree = trees.read(LAUNCH / f"{report}.tree.json", tmp_path)
    seen = spec.with_capabilities(node.read(tree.root), capabilities.DEFAULT)
    assert place in seen.source
    assert {*found(seen.libraries)} == {f"{tree.root}/{path}" for path in tree.description["files"]}
    assert len(seen.libraries) == count


def test_libcuda_of_the_kernel_driver_counts_not_the_first_place(tmp_path: Path) -> None:
    """A driver was upgraded in one place, and old files remain in another."""
    seen = read_with(tmp_path, cuda(SYSTEM, "570.124.06"), cuda(GKE), cuda(GKE, "570.124.06"))
    assert "GKE" in seen.source
    assert names(seen) == [f"libcuda.so.{VERSION}"]


def test_cache_without_libcuda_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}/node-programs:{os.environ['PATH']}")
    seen = read_with(
        tmp_path,
        *("usr/lib64/libnvidia-ml.so.580.159.04", cuda(GKE)),
        cache=["libnvidia-ml.so.1 (libc6,x86-64) => /usr/lib64/libnvidia-ml.so.580.159.04"],
    )
    assert "GKE" in seen.source
    assert names(seen) == [f"libcuda.so.{VERSION}"]


def test_libraries_in_several_folders_of_the_cache_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}/node-programs:{os.environ['PATH']}")
    management = f"opt/nvidia/lib/libnvidia-ml.so.{VERSION}"
    program = "opt/nvidia/bin/nvidia-smi"
    paths = (cuda(SYSTEM), management)
    lines = [f"{path.rpartition('/')[2]} (libc6,x86-64) => /{path}" for path in paths]
    seen = read_with(tmp_path, *paths, program, cache=lines)
    assert names(seen) == [f"libcuda.so.{VERSION}", f"libnvidia-ml.so.{VERSION}"]
    assert found(seen.programs) == [f"{tmp_path}/node/{program}"]


def test_libraries_of_another_version_are_not_taken(tmp_path: Path) -> None:
    seen = read_with(tmp_path, cuda(SYSTEM, "570.124.06"))
    assert (seen.driver, seen.source, seen.libraries) == (VERSION, "", ())
    assert seen.others == (tmp_path / "node" / SYSTEM / "libcuda.so.570.124.06",)


def test_architecture_is_that_of_this_machine_if_the_driver_does_not_say_it(
    tmp_path: Path,
) -> None:
    proc = "NVRM version: NVIDIA UNIX Kernel Module  580.159.04  Tue Jan  6 00:00:00 UTC 2026\n"
    tree = trees.lay_out({"proc": proc, "files": []}, tmp_path)
    machine = MACHINES[kernel.ARCHITECTURES[platform.machine()]]
    trees.write(tree.root / cuda(SYSTEM), trees.content("libcuda.so", machine))
    assert names(node.read(tree.root)) == [f"libcuda.so.{VERSION}"]


def test_empty_mount_points_are_not_taken(tmp_path: Path) -> None:
    """A container runtime that mounted a library left an empty file below the mount."""
    seen = read_with(tmp_path, cuda(GKE), empty=[cuda(SYSTEM)])
    assert "GKE" in seen.source


def test_libraries_of_another_machine_are_not_taken(tmp_path: Path) -> None:
    root = tmp_path / "node"
    trees.write(root / cuda(SYSTEM), trees.content("libcuda.so", 183))
    seen = read_with(tmp_path, cuda(CONTAINER), files32=["usr/lib/libcuda.so.580.159.04"])
    assert "driver container" in seen.source


def test_sockets_and_firmware_are_not_taken(tmp_path: Path) -> None:
    """runsc cannot open a socket, and the kernel has loaded the firmware."""
    seen = read_with(
        tmp_path,
        *(cuda(SYSTEM), "usr/lib/firmware/nvidia/580.159.04/gsp_ga10x.bin"),
        "usr/bin/nvidia-persistenced",
        sockets=[
            *(f"usr/lib64/libnvidia-ml.so.{VERSION}", "run/nvidia-persistenced/socket"),
            "etc/vulkan/icd.d/nvidia_icd.json",
        ],
    )
    assert names(seen) == [f"libcuda.so.{VERSION}"]
    assert (seen.programs, seen.configuration) == ((), ())


def test_node_without_nvidia_smi_has_libraries(tmp_path: Path) -> None:
    seen = read_with(tmp_path, cuda(SYSTEM), "srv/tools/nvidia-smi")
    assert (names(seen), seen.programs) == ([f"libcuda.so.{VERSION}"], ())


def test_program_of_the_place_is_taken_before_that_of_the_system(tmp_path: Path) -> None:
    """nvidia-smi of another driver fails with a mismatch of versions."""
    own = "home/kubernetes/bin/nvidia/bin/nvidia-smi"
    seen = read_with(tmp_path, cuda(GKE), own, "usr/bin/nvidia-smi", "usr/bin/nvidia-debugdump")
    root = tmp_path / "node"
    assert seen.programs == (root / own, root / "usr/bin/nvidia-debugdump")


def test_driver_root_has_the_files_of_a_mounted_node(tmp_path: Path) -> None:
    """The node's root is mounted at /host in a worker: links lead to files below /host."""
    links = {
        "run/opengl-driver/lib": "/nix/store/1-drivers/lib",
        f"nix/store/1-drivers/lib/libcuda.so.{VERSION}": f"/nix/store/2/libcuda.so.{VERSION}",
    }
    files = [cuda("nix/store/2")]
    proc = {"proc": PROC.format(VERSION)}
    host = trees.lay_out({**proc, "files": files, "links": links}, tmp_path / "host").root
    worker = trees.lay_out({**proc, "files": []}, tmp_path / "worker").root
    assert node.read(worker).libraries == ()
    seen = node.read(worker, host)
    assert found(seen.libraries) == [f"{host}/nix/store/2/libcuda.so.{VERSION}"]
    assert seen.source == f"{host}/nix/store/2 (NixOS)"
