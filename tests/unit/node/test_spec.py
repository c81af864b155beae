"""A specification has the node's devices, driver files and environment."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.nodes import DEVICES, NUMBERS
from worker_images.node import spec
from worker_images.node.cards import Card
from worker_images.node.node import Node
from worker_images.node.selection import SpecError
from worker_images.node.spec import Container
from worker_images.node.stand_in import DRIVER

CONTAINER = Container(Path("/run/rootfs"), ("true",), {})


BUNDLE = Path("/run/bundle")


@pytest.mark.parametrize(
    ("requested", "names"),
    [
        ("all", [*NUMBERS]),
        ("none", []),
        ("1", ["nvidiactl", "nvidia-uvm", "nvidia1"]),
        ("2, 0", ["nvidiactl", "nvidia-uvm", "nvidia0", "nvidia10"]),
        ("minor:10", ["nvidiactl", "nvidia-uvm", "nvidia10"]),
    ],
)
def test_devices_are_those_requested(requested: str, names: list[str], gpus: Node) -> None:
    config = spec.specification(gpus, replace(CONTAINER, gpus=requested), BUNDLE)
    expected = [
        {"path": f"/dev/{name}", "type": "c", "major": NUMBERS[name][0], "minor": NUMBERS[name][1]}
        for name in names
    ]
    assert [
        {key: device[key] for key in ("path", "type", "major", "minor")}
        for device in config["linux"]["devices"]
    ] == expected


@pytest.mark.parametrize(
    ("requested", "kept", "problem"),
    [
        ("3", 5, "no GPU 3: this node has 0: /dev/nvidia0; 1: /dev/nvidia1; 2: /dev/nvidia10"),
        ("minor:2", 5, "no GPU minor:2: this node has 0: "),
        ("0", 2, "no GPU 0: /dev has no nvidiaN"),
        ("", 5, "no GPU without a name; name an index of nvidia-smi"),
        ("all", 1, "no /dev/nvidia-uvm on this node"),
        ("all", 2, "no GPU on this node"),
        ("0", 0, "no /dev/nvidia-uvm, /dev/nvidiactl on this node"),
    ],
)
def test_missing_gpu_is_an_error(requested: str, kept: int, problem: str, gpus: Node) -> None:
    with pytest.raises(SpecError, match=problem):
        spec.select(replace(gpus, devices=DEVICES[:kept]), requested)


@pytest.mark.parametrize(
    ("rootfs", "host", "libraries"),
    [("/", "", "/usr/lib"), ("/user", "/user", "/usr/local/nvidia/lib64")],
)
def test_root_of_the_node_is_refused(rootfs: str, host: str, libraries: str, gpus: Node) -> None:
    own = replace(gpus, libraries=(Path(libraries) / f"libcuda.so.{DRIVER}",))
    with pytest.raises(SpecError, match=f"rootfs {rootfs} is the node's own root"):
        spec.specification(own, replace(CONTAINER, rootfs=Path(rootfs)), BUNDLE, host)


def environment(node: Node, requested: str, **values: str) -> dict[str, str]:
    config = spec.specification(
        node, replace(CONTAINER, gpus=requested, environment=values), BUNDLE
    )
    return dict(pair.split("=", 1) for pair in config["process"]["env"])


def test_driver_folders_come_before_those_of_the_image(gpus: Node) -> None:
    found = environment(
        gpus,
        "0,2",
        PATH="/opt/bin",
        LD_LIBRARY_PATH="/opt/lib",
        NVIDIA_DRIVER_CAPABILITIES="all",
        HOME="/root",
    )
    assert found == {
        "PATH": "/usr/local/nvidia/bin:/opt/bin",
        "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64:/opt/lib",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        "NVIDIA_VISIBLE_DEVICES": "0,2",
        "HOME": "/root",
    }


def test_visible_devices_are_uuids_if_the_driver_says_them(gpus: Node) -> None:
    """Numbers would be ambiguous: an index is not a minor number."""
    uuids = [f"GPU-{number}fdaf0a5-179b-f636-d15d-daf243e3ff16" for number in (0, 1)]
    cards = (Card("0000:01:00.0", 10, uuids[0]), Card("0000:02:00.0", 0, uuids[1]))
    known = replace(gpus, cards=cards)
    assert environment(known, "all")["NVIDIA_VISIBLE_DEVICES"] == ",".join(uuids)
    assert environment(known, "0")["NVIDIA_VISIBLE_DEVICES"] == uuids[0]
    unknown = replace(gpus, cards=(cards[0], replace(cards[1], uuid="")))
    assert environment(unknown, "1")["NVIDIA_VISIBLE_DEVICES"] == "1"


def test_files_of_graphics_are_mounted_with_that_capability(gpus: Node, tmp_path: Path) -> None:
    vulkan = "/etc/vulkan/icd.d/nvidia_icd.json"
    more = (tmp_path / f"libGLX_nvidia.so.{DRIVER}", tmp_path / f"libnvcuvid.so.{DRIVER}")
    node = replace(
        gpus,
        libraries=(*gpus.libraries, *more),
        configuration=((tmp_path / "nvidia_icd.json", vulkan),),
    )
    graphics = replace(CONTAINER, capabilities=("compute", "graphics"))
    found = spec.specification(node, graphics, BUNDLE)
    mounted = {mount["destination"]: mount.get("source") for mount in found["mounts"]}
    assert mounted[vulkan] == f"{tmp_path}/nvidia_icd.json"
    assert f"/usr/local/nvidia/lib64/libGLX_nvidia.so.{DRIVER}" in mounted
    assert f"/usr/local/nvidia/lib64/libnvcuvid.so.{DRIVER}" not in mounted
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,graphics" in found["process"]["env"]
    plain = spec.specification(node, CONTAINER, BUNDLE)
    assert {mount["destination"] for mount in plain["mounts"]}.isdisjoint(
        {vulkan, f"/usr/local/nvidia/lib64/libGLX_nvidia.so.{DRIVER}"}
    )


def test_environment_has_defaults(gpus: Node) -> None:
    found = environment(gpus, "none")
    assert (found["LD_LIBRARY_PATH"], found["NVIDIA_VISIBLE_DEVICES"]) == (
        "/usr/local/nvidia/lib64",
        "none",
    )
    assert found["PATH"] == f"/usr/local/nvidia/bin:{spec.PATH}"


def test_environment_is_that_of_the_image_without_a_driver(gpus: Node) -> None:
    assert environment(replace(gpus, libraries=()), "none", NVIDIA_VISIBLE_DEVICES="all") == {
        "PATH": spec.PATH,
        "NVIDIA_VISIBLE_DEVICES": "all",
    }


@pytest.mark.parametrize("host", ["", "/host"])
def test_mount_sources_begin_with_the_host_root(host: str, gpus: Node) -> None:
    """The folder of links is first, then the driver's files, then the caller's mounts."""
    config = spec.specification(
        gpus, replace(CONTAINER, mounts=((Path("/srv/data"), "/data"),)), BUNDLE, host
    )
    found = [
        (mount["source"], mount["destination"])
        for mount in config["mounts"]
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
        {"rbind", "ro"} <= {*mount["options"]}
        for mount in config["mounts"]
        if mount["type"] == "bind"
    )
