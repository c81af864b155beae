"""Rules for derived images, on small images."""

from pathlib import Path

import pytest

from tests.support.derivations import ENVIRONMENT, PATH, faults
from tests.support.elf_files import library
from tests.support.members import Member, file, other
from worker_images.harness.dangers import RULES


@pytest.mark.parametrize("rule", RULES)
def test_image_without_additions_keeps_every_rule(rule: str, tmp_path: Path) -> None:
    assert faults(rule, tmp_path) == []


@pytest.mark.parametrize(
    ("members", "path", "fault"),
    [
        (
            [file("usr/local/bin/tool", "x", 0o755)],
            "/usr/local/bin:/usr/bin",
            "/usr/local/bin/tool",
        ),
        ([file("usr/local/bin/tool", "x")], "/usr/local/bin:/usr/bin", ""),
        ([file("usr/local/bin/other", "x", 0o755)], "/usr/local/bin:/usr/bin", ""),
        (
            [other("link", "opt/tool", "/opt/x"), file("opt/x", "", 0o755)],
            "/opt:/usr/bin",
            "/opt/x",
        ),
        ([other("link", "opt/tool", "/usr/bin/tool")], "/opt:/usr/bin", ""),
        ([file("opt/tool", "x", 0o755)], "/usr/bin:/opt", ""),
        ([other("link", "usr/local/bin/tool", "../../bin/more")], PATH, "/usr/bin/more"),
        ([other("link", "usr/local/bin/tool", "/run/tool")], PATH, "/usr/local/bin/tool"),
        ([other("folder", "opt/bin", mode=0o777)], f"/opt/bin:{PATH}", "ENV PATH"),
        ([other("folder", "opt", mode=0o777)], f"/opt/bin:{PATH}", "ENV PATH"),
        ([other("folder", "opt/bin", mode=0o777)], f"{PATH}:/opt/bin", ""),
        ([], "bin:/usr/bin", "ENV PATH"),
        ([], "/usr/local/bin", "ENV PATH"),
    ],
)
def test_program_before_that_of_the_worker_image_is_found(
    members: list[Member], path: str, fault: str, tmp_path: Path
) -> None:
    found = faults("path", tmp_path, members, [f"PATH={path}"])
    assert [each.partition(": ")[0] for each in found] == ([fault] if fault else [])


@pytest.mark.parametrize(
    ("environment", "count"),
    [
        (["NVIDIA_VISIBLE_DEVICES=all"], 0),
        (["NVIDIA_VISIBLE_DEVICES=all", "CUDA_HOME=/opt"], 0),
        (["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_VISIBLE_DEVICES=void"], 1),
        (["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_IMEX_CHANNELS=0"], 1),
        (["NVIDIA_VISIBLE_DEVICES=all", "CUDA_VERSION=12.8.0"], 1),
        (["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_CUDA=1", "CUDA_VERSION="], 2),
        ([], 1),
    ],
)
def test_other_nvidia_variable_is_found(environment: list[str], count: int, tmp_path: Path) -> None:
    assert len(faults("nvidia", tmp_path, environment=environment)) == count


@pytest.mark.parametrize(
    ("labels", "count"),
    [
        ({}, 0),
        ({"org.example": "x"}, 0),
        ({"worker.variant": "slim", "worker.source": "packages", "a": "b"}, 0),
        ({"worker.variant": "slim"}, 1),
        ({"worker.variant": "full", "worker.source": "packages"}, 1),
        ({"worker.variant": "slim", "worker.source": "packages", "worker.x": ""}, 1),
    ],
)
def test_label_that_contradicts_the_worker_image_is_found(
    labels: dict[str, str], count: int, tmp_path: Path
) -> None:
    assert len(faults("label", tmp_path, labels=labels)) == count


GO = b"\x7fELF a.example/runc@v1.2.3/main.go\0"


@pytest.mark.parametrize(
    ("member", "fault"),
    [
        (file("opt/x", GO), "/opt/x: has the contents of a program of runc"),
        (file("opt/x", b"\x7fELF a.example/runc/cmd/x/main.go\0"), "/opt/x: has the contents"),
        (file("opt/x", b"\x7fELF usage of runc\0"), "/opt/x: has the contents of a program of"),
        (file("opt/x", b"\x7fELF a.example/runc/libcontainer/init.go\0"), ""),
        (file("opt/x", GO[4:], 0o755), ""),
        (file("usr/bin/tool", GO, 0o755), ""),
        (file("opt/runc", "#!/bin/sh\n", 0o755), "/opt/runc: has the name of a program of runc"),
        (file("opt/runc-1.2", b"\x7fELF"), "/opt/runc-1.2: has the name of a program of runc"),
        (file("opt/runc", "#!/bin/sh\n"), ""),
        (file("opt/runc", "text", 0o755), ""),
        (file("opt/runc-docs/page", "#!/bin/sh\n", 0o755), ""),
        (other("folder", "opt/runc"), ""),
        (file("opt/libcudart.so.12", library((), soname="libcudart.so.12")), ""),
    ],
)
def test_program_of_a_component_is_found(member: Member, fault: str, tmp_path: Path) -> None:
    found = faults("program", tmp_path, [member])
    assert [each[: len(fault)] for each in found] == ([fault] if fault else [])


@pytest.mark.parametrize("kind", ["link", "hardlink"])
def test_link_with_the_name_of_a_component_is_found(kind: str, tmp_path: Path) -> None:
    """Its target is a program that has no mark."""
    target = "/opt/x" if kind == "link" else "opt/x"
    members = [file("opt/x", b"\x7fELF", 0o755), other(kind, "usr/bin/runc", target)]
    (found,) = faults("program", tmp_path, members)
    assert found == "/usr/bin/runc: a link to /opt/x, has the name of a program of runc"


def with_attribute(member: Member) -> Member:
    """A member that hides what is below it in earlier layers."""
    member[0].pax_headers = {"SCHILY.xattr.trusted.overlay.opaque": "y"}
    return member


@pytest.mark.parametrize("name", ["LD_AUDIT", "XTABLES_LIBDIR", "IP_LIB_DIR", "CRIU_LIBS_DIR"])
def test_variable_that_names_libraries_is_found(name: str, tmp_path: Path) -> None:
    environment = [*ENVIRONMENT, f"{name}=/opt"]
    assert faults("loader", tmp_path, environment=environment) == [f"ENV {name}: set to '/opt'"]


def test_variable_that_changes_programs_of_go_is_found(tmp_path: Path) -> None:
    (found,) = faults("loader", tmp_path, environment=[*ENVIRONMENT, "GODEBUG=netdns=cgo"])
    assert found == "ENV GODEBUG: set to 'netdns=cgo', which changes how runsc runs"


@pytest.mark.parametrize(
    ("rule", "member", "count"),
    [
        ("setuid", other("folder", "var/mail", mode=0o2775), 0),
        ("setuid", file("opt/x", "", 0o4755), 1),
        ("certificates", other("link", "etc/ssl/certs/a.pem", "/usr/share/ca.crt"), 0),
        ("certificates", file("etc/ssl/certs/a.pem", "x"), 1),
        ("certificates", other("link", "etc/ssl/certs/a.pem", "/run/a.pem"), 1),
        ("certificates", file("etc/pki/tls/certs/a.pem", "x"), 1),
        ("certificates", other("link", "etc/pki", "/opt"), 1),
        ("certificates", other("link", "etc/pki/tls/certs", "/etc/ssl/certs"), 0),
        ("attribute", with_attribute(other("folder", "./")), 1),
        ("toolkit", other("link", "etc/cdi", "/opt/cdi"), 1),
        ("toolkit", other("link", "etc/nvidia-container-runtime", "/opt"), 1),
        ("toolkit", other("folder", "etc/nvidia-container-runtime"), 0),
        ("toolkit", file("etc/xdg/nvidia-container-runtime/config.toml"), 1),
        ("libcuda", file("opt/libcuda.so.1", "text"), 0),
        ("libcuda", file("opt/libcuda.so.1", library(("libc.so.6",))), 1),
        ("libcuda", file("opt/x", library((), soname="libcuda.so.1")), 1),
        ("libcuda", other("link", "opt/libcuda.so", "x"), 1),
        ("libcuda", file("opt/libcudart.so.1", library((), soname="libcudart.so.1")), 0),
        ("loader", file("usr/lib/glibc-hwcaps/x86-64-v3/libx.so.1", "x"), 1),
        ("loader", file("usr/lib/glibc-hwcaps/x86-64-v3/liby.so.1", "x"), 0),
        ("loader", other("link", "usr/lib/glibc-hwcaps", "/opt/lib"), 1),
        ("loader", other("link", "usr/lib/glibc-hwcaps/x86-64-v2", "/opt/lib"), 1),
        ("loader", file("usr/lib/x86_64-linux-gnu/xtables/libipt_x.so", "x"), 1),
        ("loader", other("link", "usr/lib/criu", "/opt"), 1),
        ("loader", file("root/.criu/default.conf", "x"), 1),
        ("loader", other("folder", "etc/criu"), 0),
        ("loader", file("etc/ld.so.cache", "x"), 1),
    ],
)
def test_rule_finds_only_its_faults(rule: str, member: Member, count: int, tmp_path: Path) -> None:
    assert len(faults(rule, tmp_path, [member])) == count
