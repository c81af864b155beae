"""The linter: a sound specification has no finding, and each rule has one that it alone refuses."""

import copy
import json
import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support import stand_in
from tests.support.stand_in import DRIVER
from worker_images.node import bundle
from worker_images.node.launch import Launch
from worker_images.node.lint import RULES, violations
from worker_images.node.node import Device, Node
from worker_images.node.spec import Container

NUMBERS = {
    "nvidiactl": (195, 255),
    "nvidia-uvm": (238, 0),
    "nvidia0": (195, 0),
    "nvidia1": (195, 1),
}


DEVICES = tuple(Device(f"/dev/{name}", *numbers) for name, numbers in NUMBERS.items())


Spoil = Callable[[dict[str, Any]], object]


@pytest.fixture
def sound(tmp_path: Path) -> Launch:
    """What python3 -m worker_images.node bundle writes on a node with two GPUs."""
    library = tmp_path / "files" / f"libcuda.so.{DRIVER}"
    library.parent.mkdir()
    library.write_bytes(stand_in.library("libcuda.so.1"))
    node = Node(DRIVER, DEVICES, (library,), (), "a test")
    (tmp_path / "rootfs").mkdir()
    return Launch(
        bundle.write(node, Container(tmp_path / "rootfs", ("true",), {}), tmp_path / "bundle"), node
    )


def spoilt(launch: Launch, spoil: Spoil) -> Launch:
    specification = copy.deepcopy(dict(launch.specification))
    spoil(specification)
    return replace(launch, specification=specification)


def variable(name: str, value: str) -> Spoil:
    return lambda specification: specification["process"]["env"].append(f"{name}={value}")


def mounts(keep: Callable[[dict[str, Any]], bool]) -> Spoil:
    return lambda specification: specification.update(
        mounts=[mount for mount in specification["mounts"] if keep(mount)]
    )


def device(number: int, **values: object) -> Spoil:
    return lambda specification: specification["linux"]["devices"][number].update(values)


def added(**values: object) -> Spoil:
    return lambda specification: specification["linux"]["devices"].append(
        {"type": "c", "major": 195, "minor": 254, **values}
    )


def bound(source: str, **more: object) -> Spoil:
    """As the toolkit writes it: the options alone say that it is a bind mount."""
    mount = {"destination": "/x", "source": source, "options": ["ro", "rbind"], **more}
    return lambda specification: specification["mounts"].append(mount)


def moved(folder: str) -> Spoil:
    """Every file of the driver in another folder of the container."""

    def spoil(specification: dict[str, Any]) -> None:
        for mount in specification["mounts"]:
            mount["destination"] = mount["destination"].replace("/usr/local/nvidia", folder)

    return spoil


def hook(stage: str, path: str) -> Spoil:
    return lambda specification: specification.update(hooks={stage: [{"path": path}]})


SPECIFICATIONS: tuple[tuple[str, str, Spoil], ...] = (
    ("F4", "no mount brings libcuda", mounts(lambda mount: "libcuda" not in mount["destination"])),
    (
        "F5",
        "no link /usr/local/nvidia/lib64/libcuda.so.1",
        mounts(lambda mount: mount["destination"] != "/usr/local/nvidia"),
    ),
    (
        "F5",
        "/usr/local/nvidia/lib64 is not in LD_LIBRARY_PATH",
        variable("LD_LIBRARY_PATH", "/opt/lib"),
    ),
    ("F5", "/opt/driver/lib64 is not in LD_LIBRARY_PATH", moved("/opt/driver")),
    ("F6", "asks for graphics", variable("NVIDIA_DRIVER_CAPABILITIES", "compute,utility,graphics")),
    ("F6", "asks for ngx", variable("NVIDIA_DRIVER_CAPABILITIES", "compute,ngx")),
    ("F7", "no /dev/nvidia-uvm", lambda specification: specification["linux"]["devices"].pop(1)),
    ("F7", "no /dev/nvidiactl", lambda specification: specification["linux"]["devices"].pop(0)),
    ("F7", "/dev/nvidia-uvm is c 0:0, and is c 238:0 on the node", device(1, major=0)),
    ("F7", "/dev/nvidia0 is c 195:7, and is c 195:0 on the node", device(2, minor=7)),
    ("F7", "/dev/nvidia0 is b 195:0", device(2, type="b")),
    ("F7", "nvproxy does not serve /dev/nvidia-modeset", added(path="/dev/nvidia-modeset")),
    ("F7", "nvproxy does not serve /dev/nvidia-uvm-tools", added(path="/dev/nvidia-uvm-tools")),
    (
        "F8",
        "runsc calls nvidia-container-cli",
        hook("prestart", "/usr/bin/nvidia-container-runtime-hook"),
    ),
    (
        "F8",
        "in the sandbox's root from 20260520.0 on",
        hook("createContainer", "/usr/bin/nvidia-cdi-hook"),
    ),
    (
        "F8",
        "in the sandbox's root from 20260520.0 on",
        hook("createRuntime", "/usr/bin/nvidia-cdi-hook"),
    ),
    ("F8", "only full holds", hook("createContainer", "/usr/bin/nvidia-ctk")),
    (
        "F9",
        "names MIG-1c02; nvproxy knows whole GPUs",
        variable("NVIDIA_VISIBLE_DEVICES", "0,MIG-1c02"),
    ),
    ("F9", "names nvidia.com/gpu=0", variable("NVIDIA_VISIBLE_DEVICES", "nvidia.com/gpu=0")),
    ("F9", "'void' beside GPU 0, 1", variable("NVIDIA_VISIBLE_DEVICES", "void")),
    ("F9", "'' beside GPU 0, 1", variable("NVIDIA_VISIBLE_DEVICES", "")),
    ("F9", "/dev/nvidia-caps/nvidia-cap1 is for MIG", added(path="/dev/nvidia-caps/nvidia-cap1")),
    ("F10", "GPUs 0, 1, and NVIDIA_VISIBLE_DEVICES=0", variable("NVIDIA_VISIBLE_DEVICES", "0")),
    ("F10", "NVIDIA_VISIBLE_DEVICES=0,2", variable("NVIDIA_VISIBLE_DEVICES", "0,2")),
    ("F10", "NVIDIA_VISIBLE_DEVICES=GPU-1c02", variable("NVIDIA_VISIBLE_DEVICES", "GPU-1c02")),
    ("F10", "NVIDIA_VISIBLE_DEVICES=none", variable("NVIDIA_VISIBLE_DEVICES", "none")),
    ("F12", "is a socket", bound("/run/nvidia-persistenced/socket")),
    ("F12", "is a socket", bound("/run/nvidia-fabricmanager/socket", type="bind")),
)


FLAGS = (
    ("F3", ("--nvproxy-driver-version=latest",), "--nvproxy-driver-version=latest"),
    ("F3", ("-nvproxy-driver-version", "580.105.08"), "--nvproxy-driver-version=580.105.08"),
    ("F3", ("--TESTONLY-unsafe-nonroot",), "--TESTONLY-unsafe-nonroot"),
    ("F8", ("--nvproxy", "--nvproxy-docker"), "runsc calls nvidia-container-cli"),
    ("F8", ("-nvproxy-docker=true",), "runsc calls nvidia-container-cli"),
)


SOUND_SPECIFICATIONS: tuple[tuple[tuple[str, ...], Spoil], ...] = (
    ((), variable("NVIDIA_DRIVER_CAPABILITIES", "all")),
    (
        ("--nvproxy-allowed-driver-capabilities=compute,utility,video",),
        variable("NVIDIA_DRIVER_CAPABILITIES", "compute,video"),
    ),
    (
        ("-nvproxy-allowed-driver-capabilities", "all"),
        variable("NVIDIA_DRIVER_CAPABILITIES", "graphics,video"),
    ),
    (("--nvproxy-docker=false", "--nvproxy-driver-version="), variable("A", "b")),
    ((), variable("NVIDIA_VISIBLE_DEVICES", "all")),
    ((), variable("NVIDIA_VISIBLE_DEVICES", "GPU-1c02, 1")),
    ((), moved("/usr")),
    (
        (),
        lambda specification: specification.update(
            hooks={"prestart": [{"path": "/usr/bin/true"}], "poststop": None}
        ),
    ),
    ((), lambda specification: specification["process"]["env"].append("NAMELESS")),
)


HEADER = Path("/proc/self/exe").read_bytes()[:64]


BINARIES = (
    ("F11", "begins with b'<!DOCTYPE html>'", b"<!DOCTYPE html>", 0o755),
    ("F11", "no program for", b"", 0o755),
    ("F11", "no program for", HEADER[:18] + b"\x08\x00" + HEADER[20:], 0o755),
    ("F11", "not everybody may run it", HEADER, 0o700),
)


def test_a_sound_one_has_no_finding(sound: Launch) -> None:
    assert violations(sound) == ()


@pytest.mark.parametrize(("flags", "spoil"), SOUND_SPECIFICATIONS)
def test_what_is_sound_too(flags: tuple[str, ...], spoil: Spoil, sound: Launch) -> None:
    assert violations(replace(spoilt(sound, spoil), flags=flags)) == ()


def test_a_container_without_a_gpu(sound: Launch) -> None:
    assert (
        violations(
            replace(
                sound, specification={"linux": {"devices": None}, "hooks": None, "mounts": None}
            )
        )
        == ()
    )


def test_ngx_is_never_allowed(sound: Launch) -> None:
    launch = spoilt(sound, variable("NVIDIA_DRIVER_CAPABILITIES", "ngx"))
    assert [
        each.rule
        for each in violations(
            replace(launch, flags=("--nvproxy-allowed-driver-capabilities=all,ngx",))
        )
    ] == ["F6"]


@pytest.mark.parametrize(
    ("rule", "problem", "spoil"),
    SPECIFICATIONS,
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_specification(rule: str, problem: str, spoil: Spoil, sound: Launch) -> None:
    (found,) = violations(spoilt(sound, spoil))
    assert found.rule == rule
    assert problem in found.problem
    assert found.step


@pytest.mark.parametrize(("rule", "flags", "problem"), FLAGS)
def test_flags(rule: str, flags: tuple[str, ...], problem: str, sound: Launch) -> None:
    (found,) = violations(replace(sound, flags=flags))
    assert (found.rule, found.where) == (rule, "flags")
    assert problem in found.problem


@pytest.mark.parametrize(("rule", "problem", "data", "mode"), BINARIES)
def test_binary(
    rule: str, problem: str, data: bytes, mode: int, sound: Launch, tmp_path: Path
) -> None:
    runsc = written(tmp_path / "runsc", data, mode)
    (found,) = violations(replace(sound, runsc=runsc))
    assert (found.rule, found.where) == (rule, "runsc")
    assert problem in found.problem


def test_a_runsc_that_is_missing(sound: Launch, tmp_path: Path) -> None:
    (found,) = violations(replace(sound, runsc=tmp_path / "none"))
    assert (found.rule, found.problem) == ("F11", f"no file {tmp_path}/none")


def test_a_program_of_this_machine(sound: Launch) -> None:
    assert violations(replace(sound, runsc=Path("/bin/sh").resolve())) == ()


def written(path: Path, data: bytes, mode: int) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


def saying(text: str) -> bytes:
    """The least of an amd64 program that prints a text."""
    words, base, begin = text.encode(), 0x400000, 64 + 56
    length = struct.pack("<I", len(words))
    write = (
        b"\xb8\x01\0\0\0\xbf\x01\0\0\0\x48\x8d\x35"
        + struct.pack("<I", 16)
        + b"\xba"
        + length
        + b"\x0f\x05"
    )
    code = write + b"\xb8\x3c\0\0\0\x31\xff\x0f\x05"
    size = begin + len(code) + len(words)
    start = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + begin, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    )
    return start + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096) + code + words


def test_a_release_wants_its_helpers_beside_it(sound: Launch, tmp_path: Path) -> None:
    runsc = written(
        tmp_path / "runsc", saying("runsc version release-20260817.0\nspec: 1.2.1\n"), 0o755
    )
    (found,) = violations(replace(sound, runsc=runsc))
    assert (found.rule, found.problem) == (
        "F11",
        f"no folder {tmp_path}/gvisor-bin, which this release needs",
    )
    (tmp_path / "gvisor-bin").mkdir()
    assert violations(replace(sound, runsc=runsc)) == ()


def test_any_socket(sound: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as service:
        service.bind("service")
        (found,) = violations(spoilt(sound, bound(str(tmp_path / "service"))))
    assert (found.rule, found.where) == ("F12", f"mounts[{len(sound.specification['mounts'])}]")


def test_the_program_beside_the_socket_is_none(sound: Launch) -> None:
    assert violations(spoilt(sound, bound("/usr/bin/nvidia-persistenced"))) == ()


def test_another_drivers_libcuda_is_named(sound: Launch) -> None:
    (found,) = violations(replace(sound, node=replace(sound.node, driver="590.48.01")))
    only = f"/usr/local/nvidia/lib64/libcuda.so.{DRIVER}"
    assert (found.rule, found.problem) == (
        "F4",
        f"devices, and no mount brings libcuda.so.590.48.01, only {only}",
    )


def test_a_node_without_a_driver(sound: Launch) -> None:
    (found,) = violations(replace(sound, node=replace(sound.node, driver="")))
    assert (found.rule, found.where) == ("F4", "linux.devices")


def test_an_older_libcuda_that_comes_first(sound: Launch, tmp_path: Path) -> None:
    compat = tmp_path / "rootfs/usr/local/cuda/compat"
    compat.mkdir(parents=True)
    (compat / "libcuda.so.570.124.06").write_bytes(b"another")
    (compat / "libcuda.so.1").symlink_to("libcuda.so.570.124.06")
    (found,) = violations(
        spoilt(sound, variable("LD_LIBRARY_PATH", "/usr/local/cuda/compat:/usr/local/nvidia/lib64"))
    )
    assert found.rule == "F4"
    assert (
        found.problem
        == "libcuda.so.1 is /usr/local/cuda/compat/libcuda.so.570.124.06, and the driver is"
        f" {DRIVER}"
    )
    assert (
        violations(
            spoilt(
                sound, variable("LD_LIBRARY_PATH", "/usr/local/nvidia/lib64:/usr/local/cuda/compat")
            )
        )
        == ()
    )


def test_a_mounted_file_that_is_not_there(sound: Launch) -> None:
    sound.node.libraries[0].unlink()
    (found,) = violations(sound)
    assert (found.rule, found.where) == ("F4", "mounts")


@pytest.mark.parametrize(("links", "rules"), [(("libcuda.so.1",), []), ((), ["F5"])])
def test_a_folder_of_the_nodes_own(
    links: tuple[str, ...], rules: list[str], sound: Launch, tmp_path: Path
) -> None:
    """As a cloud's device plugin keeps it."""
    for name in links:
        (tmp_path / "files" / name).symlink_to(f"libcuda.so.{DRIVER}")
    folder = {
        "source": str(tmp_path / "files"),
        "destination": "/usr/local/nvidia/lib64",
        "options": ["rbind", "ro"],
    }
    launch = spoilt(sound, lambda specification: specification.update(mounts=[folder]))
    assert [found.rule for found in violations(launch)] == rules


def test_a_worker_that_sees_the_node_elsewhere(sound: Launch) -> None:
    text = json.dumps(sound.specification).replace('"source": "/', '"source": "/host/')
    assert violations(replace(sound, specification=json.loads(text), host="/host")) == ()
    assert [
        found.rule
        for found in violations(replace(sound, specification=json.loads(text), host="/ho"))
    ] == ["F4"]


def test_every_rule_has_one_that_fails() -> None:
    assert {rule for rule, *_ in (*SPECIFICATIONS, *FLAGS, *BINARIES)} == {
        rule.name for rule in RULES
    }


def test_every_rule_says_what_it_asks() -> None:
    assert all(rule.words.endswith(".") for rule in RULES)
