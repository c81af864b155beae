"""What a node has for a sandbox, and the bundle that is made of it."""

import ctypes.util
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.workload import stand_in
from worker_images.model.drivers.kernel import version_in
from worker_images.node import bundle, node, spec
from worker_images.node.node import Device, Node
from worker_images.node.soname import soname
from worker_images.node.spec import Container, SpecError

DRIVER = "580.159.04"
OPEN = (
    f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {DRIVER}  Release Build "
    " (builder)\nGCC version:  gcc 12.2.0\n"
)
CLOSED = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023\nGCC"
    " version:  gcc 12.2.0\n"
)
NUMBERS = {
    "nvidiactl": (195, 255),
    "nvidia-uvm": (238, 0),
    "nvidia0": (195, 0),
    "nvidia1": (195, 1),
    "nvidia10": (195, 10),
}
DEVICES = tuple(Device(f"/dev/{name}", *numbers) for name, numbers in NUMBERS.items())
# A driver that no machine of these tests has.
NOBODYS = "1.2.3"
CACHE = """2 libs found in cache `/etc/ld.so.cache'
\tlibcuda.so.1 (libc6,x86-64) => {0}/libcuda.so.1
\tlibcuda.so.1 (libc6) => {0}/32/libcuda.so.1
\tlibcudart.so.13 (libc6,x86-64) => {0}/libcudart.so.13
\tlibnvidia-ml.so.1 (libc6,x86-64) => {0}/libnvidia-ml.so.1
"""


@pytest.mark.parametrize(
    ("text", "version"),
    [(OPEN, DRIVER), (CLOSED, "535.129.03"), ("GCC version:  gcc 12.2.0\n", ""), ("", "")],
)
def test_version(text: str, version: str) -> None:
    assert version_in(text) == version


def files(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("a file\n")


def tree(root: Path, folder: str, driver: str = DRIVER) -> Path:
    """A node's root with an open driver, and its files where a cloud's device plugin keeps them."""
    files(root / "proc/driver/nvidia", "version")
    (root / "proc/driver/nvidia/version").write_text(OPEN)
    files(
        root / folder,
        f"libcuda.so.{driver}",
        f"libnvidia-ml.so.{driver}",
        f"libGLX_nvidia.so.{driver}",
        "libcuda.so.535.129.03",
    )
    (root / folder / "libcuda.so.1").symlink_to(f"libcuda.so.{driver}")
    files((root / folder).parent / "bin", "nvidia-smi", "nvidia-persistenced")
    return root


@pytest.mark.parametrize("folder", node.FOLDERS)
def test_a_nodes_files(folder: str, tmp_path: Path) -> None:
    found = node.read(tree(tmp_path, folder))
    assert (found.driver, found.found, found.devices) == (DRIVER, f"/{folder}", ())
    assert [path.name for path in found.libraries] == [
        f"libcuda.so.{DRIVER}",
        f"libnvidia-ml.so.{DRIVER}",
    ]
    assert [path.name for path in found.programs] == ["nvidia-smi"]


def test_libraries_of_another_driver_are_none(tmp_path: Path) -> None:
    found = node.read(tree(tmp_path, node.FOLDERS[0], "570.124.06"))
    assert (found.driver, found.found, found.libraries, found.programs) == (DRIVER, "", (), ())


def test_a_node_without_a_driver(tmp_path: Path) -> None:
    assert node.read(tmp_path) == Node("", (), (), (), "")


def test_devices_are_those_that_nvproxy_serves(tmp_path: Path) -> None:
    """By number; links to a device that everybody has stand for the nodes, which only root could
    make.
    """
    for name in (
        "nvidia10",
        "nvidia2",
        "nvidia-uvm",
        "nvidia-uvm-tools",
        "nvidia-modeset",
        "nvidiactl",
    ):
        (tmp_path / name).symlink_to("/dev/null")
    files(tmp_path, "nvidia0", "nvidia1.bak")
    found = tuple(node.devices(tmp_path))
    assert [device.name for device in found] == ["nvidiactl", "nvidia-uvm", "nvidia2", "nvidia10"]
    assert {(device.major, device.minor) for device in found} == {(1, 3)}
    assert [device.name for device in Node("", found, (), (), "").gpus] == ["nvidia2", "nvidia10"]


def program(folder: Path, name: str, output: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.txt").write_text(output)
    (folder / name).write_text(f"#!/bin/sh\nexec cat {folder}/{name}.txt\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine with a driver, files of it in the folder that is given, and programs of ours
    first on the path.
    """
    monkeypatch.setattr(node, "driver", lambda _: NOBODYS)
    monkeypatch.setenv("PATH", f"{tmp_path}/programs:{os.environ['PATH']}")
    program(tmp_path / "programs", "ldconfig", "")
    program(tmp_path / "programs", "nvidia-ctk", "")
    for folder in (tmp_path / "lib", tmp_path / "lib/32"):
        files(folder, f"libcuda.so.{NOBODYS}", f"libnvidia-ml.so.{NOBODYS}", "libcudart.so.13")
        for name in ("libcuda", "libnvidia-ml"):
            (folder / f"{name}.so.1").symlink_to(f"{name}.so.{NOBODYS}")
    return tmp_path


def test_the_loaders_cache(this_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links are followed, and libraries of 32 bits are left out."""
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "", "", "", "x86_64")))
    program(this_machine / "programs", "ldconfig", CACHE.format(this_machine / "lib"))
    found = node.read()
    assert found.found == "the loader's cache"
    assert found.libraries == tuple(
        this_machine / "lib" / f"{name}.so.{NOBODYS}" for name in ("libcuda", "libnvidia-ml")
    )


def test_what_the_toolkit_of_the_node_names(this_machine: Path) -> None:
    mounts = [
        {"hostPath": str(this_machine / "lib" / name)}
        for name in (f"libcuda.so.{NOBODYS}", "libcudart.so.13")
    ]
    program(
        this_machine / "programs", "nvidia-ctk", json.dumps({"containerEdits": {"mounts": mounts}})
    )
    found = node.read()
    assert (found.found, found.libraries) == (
        "nvidia-ctk cdi generate",
        (this_machine / "lib" / f"libcuda.so.{NOBODYS}",),
    )


def test_programs_that_fail_say_nothing(this_machine: Path) -> None:
    for name in ("ldconfig", "nvidia-ctk"):
        (this_machine / "programs" / name).write_text("#!/bin/sh\necho '{'\nexit 1\n")
    assert node.read().libraries == ()


def test_soname_of_a_real_library() -> None:
    with Path("/proc/self/maps").open() as maps:
        loaded = next(
            Path(line.split()[-1]) for line in maps if "/libc.so" in line or "/libc-" in line
        )
    assert soname(loaded) == ctypes.util.find_library("c")


def test_soname_of_a_stand_in(tmp_path: Path) -> None:
    (tmp_path / "library").write_bytes(stand_in.library("libcuda.so.1"))
    assert soname(tmp_path / "library") == "libcuda.so.1"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"/* GNU ld script */\n",
        b"\x7fELF\x01\x01" + bytes(64),
        b"\x7fELF\x02\x01",
        b"\x7fELF\x02\x01" + bytes(90),
    ],
)
def test_what_has_no_soname(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "library").write_bytes(data)
    assert soname(tmp_path / "library") == ""


@pytest.mark.parametrize("size", range(8, 300, 16))
def test_a_library_that_ends_early_has_none(size: int, tmp_path: Path) -> None:
    whole = stand_in.library("libcuda.so.1")
    (tmp_path / "library").write_bytes(whole[: min(size, len(whole) - 1)])
    assert soname(tmp_path / "library") == ""


@pytest.fixture
def gpus(tmp_path: Path) -> Node:
    """A node with three GPUs, two libraries, one with a name to be loaded by, and a program."""
    files(tmp_path / "files", f"libcuda.so.{DRIVER}", f"libnvidia-ml.so.{DRIVER}", "nvidia-smi")
    (tmp_path / "files" / f"libcuda.so.{DRIVER}").write_bytes(stand_in.library("libcuda.so.1"))
    libraries = tuple(
        tmp_path / "files" / f"{name}.so.{DRIVER}" for name in ("libcuda", "libnvidia-ml")
    )
    return Node(DRIVER, DEVICES, libraries, (tmp_path / "files/nvidia-smi",), "a test")


CONTAINER = Container(Path("/run/rootfs"), ("true",), {})
BUNDLE = Path("/run/bundle")


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("all", [*NUMBERS]),
        ("none", []),
        ("1", ["nvidiactl", "nvidia-uvm", "nvidia1"]),
        ("10, 0", ["nvidiactl", "nvidia-uvm", "nvidia0", "nvidia10"]),
    ],
)
def test_devices_are_chosen(asked: str, names: list[str], gpus: Node) -> None:
    made = spec.specification(gpus, replace(CONTAINER, gpus=asked), BUNDLE)
    wanted = [
        {"path": f"/dev/{name}", "type": "c", "major": NUMBERS[name][0], "minor": NUMBERS[name][1]}
        for name in names
    ]
    assert [
        {key: device[key] for key in ("path", "type", "major", "minor")}
        for device in made["linux"]["devices"]
    ] == wanted


@pytest.mark.parametrize(
    ("asked", "kept", "problem"),
    [
        ("2", 5, "no /dev/nvidia2 on this node"),
        ("0,7,2", 5, "no /dev/nvidia2, /dev/nvidia7 on this node"),
        ("", 5, "no /dev/nvidia on this node"),
        ("all", 1, "no /dev/nvidia-uvm on this node"),
        ("all", 2, "no GPU on this node"),
        ("0", 0, "no /dev/nvidia-uvm, /dev/nvidia0, /dev/nvidiactl on this node"),
    ],
)
def test_a_gpu_that_is_not_there(asked: str, kept: int, problem: str, gpus: Node) -> None:
    with pytest.raises(SpecError, match=problem):
        spec.chosen(replace(gpus, devices=DEVICES[:kept]), asked)


@pytest.mark.parametrize(
    ("rootfs", "host", "libraries"),
    [("/", "", "/usr/lib"), ("/user", "/user", "/usr/local/nvidia/lib64")],
)
def test_the_nodes_own_root_is_refused(rootfs: str, host: str, libraries: str, gpus: Node) -> None:
    own = replace(gpus, libraries=(Path(libraries) / f"libcuda.so.{DRIVER}",))
    with pytest.raises(SpecError, match=f"rootfs {rootfs} is the node's own root"):
        spec.specification(own, replace(CONTAINER, rootfs=Path(rootfs)), BUNDLE, host)


def environment(found: Node, asked: str, **own: str) -> dict[str, str]:
    made = spec.specification(found, replace(CONTAINER, gpus=asked, environment=own), BUNDLE)
    return dict(pair.split("=", 1) for pair in made["process"]["env"])


def test_the_drivers_folders_come_before_the_images_own(gpus: Node) -> None:
    found = environment(
        gpus,
        "0,10",
        PATH="/opt/bin",
        LD_LIBRARY_PATH="/opt/lib",
        NVIDIA_DRIVER_CAPABILITIES="all",
        HOME="/root",
    )
    assert found == {
        "PATH": "/usr/local/nvidia/bin:/opt/bin",
        "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64:/opt/lib",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        "NVIDIA_VISIBLE_DEVICES": "0,10",
        "HOME": "/root",
    }


def test_an_image_that_sets_nothing(gpus: Node) -> None:
    found = environment(gpus, "none")
    assert (found["LD_LIBRARY_PATH"], found["NVIDIA_VISIBLE_DEVICES"]) == (
        "/usr/local/nvidia/lib64",
        "none",
    )
    assert found["PATH"] == f"/usr/local/nvidia/bin:{spec.PATH}"


def test_without_a_driver_the_environment_is_the_images(gpus: Node) -> None:
    assert environment(replace(gpus, libraries=()), "none", NVIDIA_VISIBLE_DEVICES="all") == {
        "PATH": spec.PATH,
        "NVIDIA_VISIBLE_DEVICES": "all",
    }


@pytest.mark.parametrize("host", ["", "/host"])
def test_mounts_begin_where_the_node_lies(host: str, gpus: Node) -> None:
    """The folder of links first, its files over it, then the caller's own."""
    made = spec.specification(
        gpus, replace(CONTAINER, mounts=((Path("/srv/data"), "/data"),)), BUNDLE, host
    )
    found = [
        (mount["source"], mount["destination"])
        for mount in made["mounts"]
        if mount["type"] == "bind"
    ]
    libraries = [
        (f"{host}{path}", f"/usr/local/nvidia/lib64/{path.name}") for path in gpus.libraries
    ]
    program = (f"{host}{gpus.programs[0]}", "/usr/local/nvidia/bin/nvidia-smi")
    assert found == [
        (f"{host}/run/bundle/driver", "/usr/local/nvidia"),
        *libraries,
        program,
        (f"{host}/srv/data", "/data"),
    ]
    assert all(
        {"bind", "ro"} <= {*mount["options"]} for mount in made["mounts"] if mount["type"] == "bind"
    )


def test_a_bundle_on_disk(gpus: Node, tmp_path: Path) -> None:
    """Empty files for the driver's to be mounted over, and the names that programs load.

    Writing again changes nothing.
    """
    folder = tmp_path / "bundle"
    made = bundle.write(gpus, CONTAINER, folder)
    assert bundle.write(gpus, CONTAINER, folder) == made
    assert json.loads((folder / "config.json").read_text()) == made
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


def test_a_bundle_that_cannot_be_leaves_nothing(gpus: Node, tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        bundle.write(gpus, replace(CONTAINER, gpus="5"), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
