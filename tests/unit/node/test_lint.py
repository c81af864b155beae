"""The linter accepts valid specifications, and each rule rejects one that the others accept."""

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
from worker_images.node.launch_request import LaunchRequest
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


Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def valid(tmp_path: Path) -> LaunchRequest:
    """The request of a bundle on a node with two GPUs."""
    library = tmp_path / "files" / f"libcuda.so.{DRIVER}"
    library.parent.mkdir()
    library.write_bytes(stand_in.elf_library("libcuda.so.1"))
    node = Node(DRIVER, DEVICES, (library,), (), "a test")
    (tmp_path / "rootfs").mkdir()
    return LaunchRequest(
        bundle.write(node, Container(tmp_path / "rootfs", ("true",), {}), tmp_path / "bundle"), node
    )


def changed(request: LaunchRequest, change: Change) -> LaunchRequest:
    specification = copy.deepcopy(dict(request.specification))
    change(specification)
    return replace(request, specification=specification)


def add_variable(name: str, value: str) -> Change:
    return lambda specification: specification["process"]["env"].append(f"{name}={value}")


def keep_mounts(keep: Callable[[dict[str, Any]], bool]) -> Change:
    return lambda specification: specification.update(
        mounts=[mount for mount in specification["mounts"] if keep(mount)]
    )


def change_device(index: int, **values: object) -> Change:
    return lambda specification: specification["linux"]["devices"][index].update(values)


def add_device(**values: object) -> Change:
    return lambda specification: specification["linux"]["devices"].append(
        {"type": "c", "major": 195, "minor": 254, **values}
    )


def add_mount(source: str, **more: object) -> Change:
    """Add a bind mount without a type, as NVIDIA's toolkit does."""
    mount = {"destination": "/x", "source": source, "options": ["ro", "rbind"], **more}
    return lambda specification: specification["mounts"].append(mount)


def move_driver(folder: str) -> Change:
    """Move the driver's files to another folder of the container."""

    def change(specification: dict[str, Any]) -> None:
        for mount in specification["mounts"]:
            mount["destination"] = mount["destination"].replace("/usr/local/nvidia", folder)

    return change


def add_hook(stage: str, path: str) -> Change:
    return lambda specification: specification.update(hooks={stage: [{"path": path}]})


SPECIFICATIONS: tuple[tuple[str, str, Change], ...] = (
    ("F4", "no mount of libcuda", keep_mounts(lambda mount: "libcuda" not in mount["destination"])),
    (
        "F5",
        "no link /usr/local/nvidia/lib64/libcuda.so.1",
        keep_mounts(lambda mount: mount["destination"] != "/usr/local/nvidia"),
    ),
    (
        "F5",
        "/usr/local/nvidia/lib64 is not in LD_LIBRARY_PATH",
        add_variable("LD_LIBRARY_PATH", "/opt/lib"),
    ),
    ("F5", "/opt/driver/lib64 is not in LD_LIBRARY_PATH", move_driver("/opt/driver")),
    (
        "F6",
        "requests graphics",
        add_variable("NVIDIA_DRIVER_CAPABILITIES", "compute,utility,graphics"),
    ),
    ("F6", "requests ngx", add_variable("NVIDIA_DRIVER_CAPABILITIES", "compute,ngx")),
    (
        "F7",
        "without /dev/nvidia-uvm",
        lambda specification: specification["linux"]["devices"].pop(1),
    ),
    (
        "F7",
        "without /dev/nvidiactl",
        lambda specification: specification["linux"]["devices"].pop(0),
    ),
    ("F7", "/dev/nvidia-uvm is c 0:0, but is c 238:0 on the node", change_device(1, major=0)),
    ("F7", "/dev/nvidia0 is c 195:7, but is c 195:0 on the node", change_device(2, minor=7)),
    ("F7", "/dev/nvidia0 is b 195:0", change_device(2, type="b")),
    ("F7", "nvproxy does not serve /dev/nvidia-modeset", add_device(path="/dev/nvidia-modeset")),
    (
        "F7",
        "nvproxy does not serve /dev/nvidia-uvm-tools",
        add_device(path="/dev/nvidia-uvm-tools"),
    ),
    (
        "F8",
        "runsc runs nvidia-container-cli",
        add_hook("prestart", "/usr/bin/nvidia-container-runtime-hook"),
    ),
    (
        "F8",
        "in the sandbox's root from 20260520.0 on",
        add_hook("createContainer", "/usr/bin/nvidia-cdi-hook"),
    ),
    (
        "F8",
        "in the sandbox's root from 20260520.0 on",
        add_hook("createRuntime", "/usr/bin/nvidia-cdi-hook"),
    ),
    ("F8", "only full contains", add_hook("createContainer", "/usr/bin/nvidia-ctk")),
    (
        "F9",
        "names MIG-1c02; nvproxy supports only full GPUs",
        add_variable("NVIDIA_VISIBLE_DEVICES", "0,MIG-1c02"),
    ),
    ("F9", "names nvidia.com/gpu=0", add_variable("NVIDIA_VISIBLE_DEVICES", "nvidia.com/gpu=0")),
    (
        "F9",
        "'void', but linux.devices has GPU 0, 1",
        add_variable("NVIDIA_VISIBLE_DEVICES", "void"),
    ),
    ("F9", "'', but linux.devices has GPU 0, 1", add_variable("NVIDIA_VISIBLE_DEVICES", "")),
    (
        "F9",
        "/dev/nvidia-caps/nvidia-cap1 is for MIG",
        add_device(path="/dev/nvidia-caps/nvidia-cap1"),
    ),
    ("F10", "GPUs 0, 1, but NVIDIA_VISIBLE_DEVICES=0", add_variable("NVIDIA_VISIBLE_DEVICES", "0")),
    ("F10", "NVIDIA_VISIBLE_DEVICES=0,2", add_variable("NVIDIA_VISIBLE_DEVICES", "0,2")),
    ("F10", "NVIDIA_VISIBLE_DEVICES=GPU-1c02", add_variable("NVIDIA_VISIBLE_DEVICES", "GPU-1c02")),
    ("F10", "NVIDIA_VISIBLE_DEVICES=none", add_variable("NVIDIA_VISIBLE_DEVICES", "none")),
    ("F12", "is a socket", add_mount("/run/nvidia-persistenced/socket")),
    ("F12", "is a socket", add_mount("/run/nvidia-fabricmanager/socket", type="bind")),
)


FLAGS = (
    ("F3", ("--nvproxy-driver-version=latest",), "--nvproxy-driver-version=latest"),
    ("F3", ("-nvproxy-driver-version", "580.105.08"), "--nvproxy-driver-version=580.105.08"),
    ("F3", ("--TESTONLY-unsafe-nonroot",), "--TESTONLY-unsafe-nonroot"),
    ("F8", ("--nvproxy", "--nvproxy-docker"), "runsc runs nvidia-container-cli"),
    ("F8", ("-nvproxy-docker=true",), "runsc runs nvidia-container-cli"),
)


VALID_SPECIFICATIONS: tuple[tuple[tuple[str, ...], Change], ...] = (
    ((), add_variable("NVIDIA_DRIVER_CAPABILITIES", "all")),
    (
        ("--nvproxy-allowed-driver-capabilities=compute,utility,video",),
        add_variable("NVIDIA_DRIVER_CAPABILITIES", "compute,video"),
    ),
    (
        ("-nvproxy-allowed-driver-capabilities", "all"),
        add_variable("NVIDIA_DRIVER_CAPABILITIES", "graphics,video"),
    ),
    (("--nvproxy-docker=false", "--nvproxy-driver-version="), add_variable("A", "b")),
    ((), add_variable("NVIDIA_VISIBLE_DEVICES", "all")),
    ((), add_variable("NVIDIA_VISIBLE_DEVICES", "GPU-1c02, 1")),
    ((), move_driver("/usr")),
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
    ("F11", "not an executable for", b"", 0o755),
    ("F11", "not an executable for", HEADER[:18] + b"\x08\x00" + HEADER[20:], 0o755),
    ("F11", "not executable by others", HEADER, 0o700),
)


def test_bundle_has_no_violation(valid: LaunchRequest) -> None:
    assert violations(valid) == ()


@pytest.mark.parametrize(("flags", "change"), VALID_SPECIFICATIONS)
def test_valid_specification_has_no_violation(
    flags: tuple[str, ...], change: Change, valid: LaunchRequest
) -> None:
    assert violations(replace(changed(valid, change), flags=flags)) == ()


def test_container_without_a_gpu_has_no_violation(valid: LaunchRequest) -> None:
    assert (
        violations(
            replace(
                valid, specification={"linux": {"devices": None}, "hooks": None, "mounts": None}
            )
        )
        == ()
    )


def test_ngx_is_never_allowed(valid: LaunchRequest) -> None:
    request = changed(valid, add_variable("NVIDIA_DRIVER_CAPABILITIES", "ngx"))
    assert [
        each.rule
        for each in violations(
            replace(request, flags=("--nvproxy-allowed-driver-capabilities=all,ngx",))
        )
    ] == ["F6"]


@pytest.mark.parametrize(
    ("rule", "problem", "change"),
    SPECIFICATIONS,
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_specification_violates_one_rule(
    rule: str, problem: str, change: Change, valid: LaunchRequest
) -> None:
    (found,) = violations(changed(valid, change))
    assert found.rule == rule
    assert problem in found.problem
    assert found.step


@pytest.mark.parametrize(("rule", "flags", "problem"), FLAGS)
def test_flags_violate_one_rule(
    rule: str, flags: tuple[str, ...], problem: str, valid: LaunchRequest
) -> None:
    (found,) = violations(replace(valid, flags=flags))
    assert (found.rule, found.where) == (rule, "flags")
    assert problem in found.problem


@pytest.mark.parametrize(("rule", "problem", "data", "mode"), BINARIES)
def test_binary_violates_one_rule(
    rule: str, problem: str, data: bytes, mode: int, valid: LaunchRequest, tmp_path: Path
) -> None:
    runsc = write_file(tmp_path / "runsc", data, mode)
    (found,) = violations(replace(valid, runsc=runsc))
    assert (found.rule, found.where) == (rule, "runsc")
    assert problem in found.problem


def test_missing_runsc_is_a_violation(valid: LaunchRequest, tmp_path: Path) -> None:
    (found,) = violations(replace(valid, runsc=tmp_path / "none"))
    assert (found.rule, found.problem) == ("F11", f"no file {tmp_path}/none")


def test_executable_of_this_machine_has_no_violation(valid: LaunchRequest) -> None:
    assert violations(replace(valid, runsc=Path("/bin/sh").resolve())) == ()


def write_file(path: Path, data: bytes, mode: int) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


def printing_program(text: str) -> bytes:
    """Return a minimal amd64 program that prints a text."""
    message, base, begin = text.encode(), 0x400000, 64 + 56
    length = struct.pack("<I", len(message))
    write = (
        b"\xb8\x01\0\0\0\xbf\x01\0\0\0\x48\x8d\x35"
        + struct.pack("<I", 16)
        + b"\xba"
        + length
        + b"\x0f\x05"
    )
    code = write + b"\xb8\x3c\0\0\0\x31\xff\x0f\x05"
    size = begin + len(code) + len(message)
    start = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + begin, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    )
    return start + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096) + code + message


def test_release_without_its_helper_programs_is_a_violation(
    valid: LaunchRequest, tmp_path: Path
) -> None:
    runsc = write_file(
        tmp_path / "runsc",
        printing_program("runsc version release-20260817.0\nspec: 1.2.1\n"),
        0o755,
    )
    (found,) = violations(replace(valid, runsc=runsc))
    assert (found.rule, found.problem) == (
        "F11",
        f"no folder {tmp_path}/gvisor-bin, which this release needs",
    )
    (tmp_path / "gvisor-bin").mkdir()
    assert violations(replace(valid, runsc=runsc)) == ()


def test_mounted_socket_is_a_violation(
    valid: LaunchRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as service:
        service.bind("service")
        (found,) = violations(changed(valid, add_mount(str(tmp_path / "service"))))
    assert (found.rule, found.where) == ("F12", f"mounts[{len(valid.specification['mounts'])}]")


def test_mounted_service_program_has_no_violation(valid: LaunchRequest) -> None:
    assert violations(changed(valid, add_mount("/usr/bin/nvidia-persistenced"))) == ()


def test_libcuda_of_another_driver_is_named(valid: LaunchRequest) -> None:
    (found,) = violations(replace(valid, node=replace(valid.node, driver="590.48.01")))
    only = f"/usr/local/nvidia/lib64/libcuda.so.{DRIVER}"
    assert (found.rule, found.problem) == (
        "F4",
        f"devices, but no mount of libcuda.so.590.48.01, only {only}",
    )


def test_devices_without_a_driver_are_a_violation(valid: LaunchRequest) -> None:
    (found,) = violations(replace(valid, node=replace(valid.node, driver="")))
    assert (found.rule, found.where) == ("F4", "linux.devices")


def test_older_libcuda_that_is_loaded_first_is_a_violation(
    valid: LaunchRequest, tmp_path: Path
) -> None:
    compat = tmp_path / "rootfs/usr/local/cuda/compat"
    compat.mkdir(parents=True)
    (compat / "libcuda.so.570.124.06").write_bytes(b"another")
    (compat / "libcuda.so.1").symlink_to("libcuda.so.570.124.06")
    (found,) = violations(
        changed(
            valid, add_variable("LD_LIBRARY_PATH", "/usr/local/cuda/compat:/usr/local/nvidia/lib64")
        )
    )
    assert found.rule == "F4"
    assert (
        found.problem
        == "libcuda.so.1 is /usr/local/cuda/compat/libcuda.so.570.124.06, but the driver is"
        f" {DRIVER}"
    )
    assert (
        violations(
            changed(
                valid,
                add_variable("LD_LIBRARY_PATH", "/usr/local/nvidia/lib64:/usr/local/cuda/compat"),
            )
        )
        == ()
    )


def test_mount_of_a_missing_file_is_a_violation(valid: LaunchRequest) -> None:
    valid.node.libraries[0].unlink()
    (found,) = violations(valid)
    assert (found.rule, found.where) == ("F4", "mounts")


@pytest.mark.parametrize(("links", "rules"), [(("libcuda.so.1",), []), ((), ["F5"])])
def test_mounted_folder_needs_a_soname_link(
    links: tuple[str, ...], rules: list[str], valid: LaunchRequest, tmp_path: Path
) -> None:
    """The folder is laid out as by a cloud's device plugin."""
    for name in links:
        (tmp_path / "files" / name).symlink_to(f"libcuda.so.{DRIVER}")
    folder = {
        "source": str(tmp_path / "files"),
        "destination": "/usr/local/nvidia/lib64",
        "options": ["rbind", "ro"],
    }
    request = changed(valid, lambda specification: specification.update(mounts=[folder]))
    assert [found.rule for found in violations(request)] == rules


def test_mount_sources_are_resolved_below_the_host_root(valid: LaunchRequest) -> None:
    text = json.dumps(valid.specification).replace('"source": "/', '"source": "/host/')
    assert violations(replace(valid, specification=json.loads(text), host="/host")) == ()
    assert [
        found.rule
        for found in violations(replace(valid, specification=json.loads(text), host="/ho"))
    ] == ["F4"]


def test_every_rule_has_a_violation() -> None:
    assert {rule for rule, *_ in (*SPECIFICATIONS, *FLAGS, *BINARIES)} == {
        rule.name for rule in RULES
    }


def test_every_rule_has_a_description() -> None:
    assert all(rule.description.endswith(".") for rule in RULES)
