"""Each rule of the linter rejects a specification, flags or a binary that the others accept."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.elf_files import printing_program
from tests.support.specifications import (
    Change,
    add_device,
    add_hook,
    add_mount,
    add_variable,
    change_device,
    changed,
    keep_mounts,
    move_driver,
)
from worker_images.node.lint.lint import RULES, violations
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.stand_in import DRIVER

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
        "F7",
        "without /dev/nvidia-uvm",
        lambda specification: specification["linux"]["devices"].pop(1),
    ),
    (
        "F7",
        "without /dev/nvidiactl",
        lambda specification: specification["linux"]["devices"].pop(0),
    ),
    ("F7", "/dev/nvidia-uvm is c 238:1, but is c 238:0 on the node", change_device(1, minor=1)),
    ("F7", "/dev/nvidia0 is c 195:7, but is c 195:0 on the node", change_device(2, minor=7)),
    ("F7", "/dev/nvidia0 is c 0:0, but is c 195:0 on the node", change_device(2, major=0)),
    ("F7", "/dev/nvidia0 is b 195:0", change_device(2, type="b")),
    ("F7", "/dev/nvidia0 has the type '', which runsc refuses", change_device(2, type="")),
    ("F7", "/dev/fuse has the type 'x'", add_device(path="/dev/fuse", type="x")),
    ("F7", "/dev/nvidia7 does not exist on the node", add_device(path="/dev/nvidia7", minor=7)),
    (
        "F7",
        "/dev/nvidia1 is a bind mount, which programs open without nvproxy",
        add_mount("/dev/null", destination="/dev/nvidia1"),
    ),
    (
        "F8",
        "runsc runs nvidia-container-cli",
        add_hook("prestart", "/usr/bin/nvidia-container-runtime-hook"),
    ),
    (
        "F8",
        "/none/nvidia-cdi-hook does not exist; only full contains it",
        add_hook("createRuntime", "/none/nvidia-cdi-hook"),
    ),
    ("F8", "only full contains", add_hook("createContainer", "/none/nvidia-ctk")),
    (
        "F9",
        "nvidia-cap21 is for an instance of MIG",
        add_device(path="/dev/nvidia-caps/nvidia-cap21"),
    ),
    ("F12", "is a socket", add_mount("/run/nvidia-persistenced/socket")),
    ("F12", "is a socket", add_mount("/run/nvidia-fabricmanager/socket", type="bind")),
    ("F13", "/dev at /x has nodes of GPUs", add_mount("/dev")),
    ("F14", "A has no =", lambda specification: specification["process"]["env"].append("A")),
)


FLAGS = (
    ("F3", ("--nvproxy-driver-version=latest",), "--nvproxy-driver-version=latest"),
    ("F3", ("-nvproxy-driver-version", "580.105.08"), "--nvproxy-driver-version=580.105.08"),
    ("F3", ("--TESTONLY-unsafe-nonroot",), "--TESTONLY-unsafe-nonroot"),
    (
        "F6",
        ("--nvproxy-allowed-driver-capabilities=compute,utility,ngx",),
        "names ngx, which no flag can allow",
    ),
    (
        "F6",
        ("--nvproxy-allowed-driver-capabilities=utility",),
        "does not allow compute, which CUDA needs",
    ),
    ("F8", ("--nvproxy", "--nvproxy-docker"), "runsc runs nvidia-container-cli"),
    ("F8", ("-nvproxy-docker=true",), "runsc runs nvidia-container-cli"),
)


HEADER = Path("/proc/self/exe").read_bytes()[:64]
BINARIES = (
    ("F11", "begins with b'<!DOCTYPE html>'", b"<!DOCTYPE html>", 0o755),
    ("F11", "not an executable for", b"", 0o755),
    ("F11", "not an executable for", HEADER[:18] + b"\x08\x00" + HEADER[20:], 0o755),
    ("F11", "not executable by others", HEADER, 0o700),
)


@pytest.fixture(autouse=True)
def no_toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in slim, PATH has no nvidia-container-cli."""
    monkeypatch.setenv("PATH", "/none")


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


def write_file(path: Path, data: bytes, mode: int) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


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


def test_devices_without_a_driver_are_a_violation(valid: LaunchRequest) -> None:
    (found,) = violations(replace(valid, node=replace(valid.node, driver="")))
    assert (found.rule, found.where) == ("F4", "linux.devices")


def test_flag_with_the_abi_of_the_node_is_valid(valid: LaunchRequest) -> None:
    assert violations(replace(valid, flags=(f"--nvproxy-driver-version={DRIVER}",))) == ()


def test_every_rule_has_a_violation() -> None:
    """F10 needs a hook, which is a violation here."""
    names = {rule for rule, *_ in (*SPECIFICATIONS, *FLAGS, *BINARIES)}
    assert names == {rule.name for rule in RULES} - {"F10"}


def test_every_rule_has_a_description() -> None:
    assert all(rule.description.endswith(".") for rule in RULES)
