"""A specification has the node's devices, driver files and environment."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.nodes import DEVICES, NUMBERS
from worker_images.node import spec
from worker_images.node.node import Node
from worker_images.node.spec import Container, SpecError
from worker_images.node.stand_in import DRIVER

CONTAINER = Container(Path("/run/rootfs"), ("true",), {})


BUNDLE = Path("/run/bundle")


@pytest.mark.parametrize(
    ("requested", "names"),
    [
        ("all", [*NUMBERS]),
        ("none", []),
        ("1", ["nvidiactl", "nvidia-uvm", "nvidia1"]),
        ("10, 0", ["nvidiactl", "nvidia-uvm", "nvidia0", "nvidia10"]),
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
        ("2", 5, "no /dev/nvidia2 on this node"),
        ("0,7,2", 5, "no /dev/nvidia2, /dev/nvidia7 on this node"),
        ("", 5, "no /dev/nvidia on this node"),
        ("all", 1, "no /dev/nvidia-uvm on this node"),
        ("all", 2, "no GPU on this node"),
        ("0", 0, "no /dev/nvidia-uvm, /dev/nvidia0, /dev/nvidiactl on this node"),
    ],
)
def test_missing_gpu_is_an_error(requested: str, kept: int, problem: str, gpus: Node) -> None:
    with pytest.raises(SpecError, match=problem):
        spec.select_devices(replace(gpus, devices=DEVICES[:kept]), requested)


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
