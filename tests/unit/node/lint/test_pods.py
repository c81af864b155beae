"""The linter reads what pods add: annotations, nvproxy of the sandbox, sockets, hooks."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.nodes import files, program
from tests.support.specifications import Change, add_mount, add_variable, changed
from worker_images.node.lint.lint import findings, violations
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.lint.rules import mounts

VOLUME, NVPROXY = "dev.gvisor.spec.mount.", "dev.gvisor.internal.nvproxy"
CRI = {"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "x"}
CRI_O = {"io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.cri-o.SandboxID": "x"}


def annotated(**values: str) -> Change:
    return lambda specification: specification.update(annotations=values)


@pytest.mark.parametrize(
    ("annotations", "flags", "expected"),
    [
        (CRI, ("--platform=systrap",), ["F7 warning"]),
        (CRI_O, ("--platform=systrap",), ["F7 warning"]),
        (CRI, ("--nvproxy=false",), ["F7 warning"]),
        (CRI | {NVPROXY: "false"}, ("--platform=systrap",), ["F7 warning"]),
        (CRI | {NVPROXY: "true"}, ("--platform=systrap",), []),
        (CRI, ("--nvproxy",), []),
        # Without flags nothing is known of them.
        (CRI, (), []),
        ({"io.kubernetes.cri.container-type": "sandbox"}, ("--platform=systrap",), []),
        ({}, ("--platform=systrap",), []),
    ],
)
def test_container_of_a_pod_needs_nvproxy_of_its_sandbox(
    annotations: dict[str, str], flags: tuple[str, ...], expected: list[str], valid: LaunchRequest
) -> None:
    found = violations(replace(changed(valid, annotated(**annotations)), flags=flags))
    assert [f"{each.rule} {each.severity}" for each in found] == expected


def test_container_of_a_pod_without_a_gpu_needs_no_nvproxy(valid: LaunchRequest) -> None:
    found = changed(valid, lambda each: each.update(annotations=CRI, linux={}, mounts=[]))
    assert violations(replace(found, flags=("--platform=systrap",))) == ()


@pytest.mark.parametrize(("value", "expected"), [("true", 0), ("T", 0), ("yes", 1), ("", 1)])
def test_annotation_that_allows_nvproxy_is_true_as_in_go(
    value: str, expected: int, valid: LaunchRequest
) -> None:
    """runsc then serves /dev/nvidia-uvm alone."""

    def change(specification: dict[str, Any]) -> None:
        devices = specification["linux"]["devices"]
        specification["linux"]["devices"] = [
            each for each in devices if each["path"] == "/dev/nvidia-uvm"
        ]
        specification.update(annotations={NVPROXY: value}, mounts=[])

    assert len(violations(changed(valid, change))) == expected


def volume(name: str, source: str, kind: str = "bind", share: str = "pod") -> dict[str, str]:
    keys = {"source": source, "type": kind, "share": share}
    return {f"{VOLUME}{name}.{key}": value for key, value in keys.items()}


@pytest.mark.parametrize(
    ("annotations", "problem"),
    [
        (volume("a", "/a") | volume("b", "/b"), ""),
        (volume("a", "/a", "tmpfs", "container") | {f"{VOLUME}a.options": "rw,rprivate"}, ""),
        # runsc skips what it does not know, and mounts without a type or a share.
        ({f"{VOLUME}a.unknown": "x", f"{VOLUME}a.share": "everyone"}, ""),
        (volume("a", "/a") | volume("b", "/a", kind="x"), ""),
        (volume("a", "/a") | volume("b", "/a", share="x"), ""),
        (volume("a", "/a") | volume("b", "/a"), "a and b have the same source"),
        ({f"{VOLUME}a.b.share": "pod"}, f"a name that is not {VOLUME}NAME.KEY"),
        ({f"{VOLUME}share": "pod"}, f"a name that is not {VOLUME}NAME.KEY"),
        ({f"{VOLUME}.share": "pod"}, f"a name that is not {VOLUME}NAME.KEY"),
        (CRI | {f"{VOLUME}a.b.share": "pod"}, ""),
        ({"dev.gvisor.spec.rootfs.type": "ext4", "dev.gvisor.spec.rootfs.source": "/x"}, "'ext4'"),
        (
            {"dev.gvisor.spec.rootfs.type": "bind", "dev.gvisor.spec.rootfs.source": "x"},
            "not an absolute path",
        ),
    ],
)
def test_annotations_of_volumes_are_those_that_runsc_accepts(
    annotations: dict[str, str], problem: str, valid: LaunchRequest
) -> None:
    found = violations(changed(valid, annotated(**annotations)))
    assert [(each.rule, each.severity) for each in found] == [("F14", "error")] * bool(problem)
    assert all(problem in each.problem for each in found)


@pytest.mark.parametrize("name", ["bounding", "effective", "inheritable", "permitted", "ambient"])
def test_capability_that_runsc_does_not_know_is_an_error(name: str, valid: LaunchRequest) -> None:
    def change(specification: dict[str, Any]) -> None:
        specification["process"]["capabilities"] = {name: ["CAP_BPF", "CAP_FOO", "SYS_ADMIN"]}

    (found,) = violations(changed(valid, change))
    assert (found.rule, found.where) == ("F14", f"process.capabilities.{name}")
    assert found.problem.startswith("runsc does not know CAP_FOO, SYS_ADMIN, and")


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A socket of the node."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("service")
        yield tmp_path / "service"


FLAGS: tuple[tuple[tuple[str, ...], list[str]], ...] = (
    ((), ["F12 warning"]),
    (("--host-uds=none",), ["F12 warning"]),
    (("--host-uds=create",), ["F12 warning"]),
    (("--host-uds=open",), []),
    (("--host-uds=all",), []),
)


@pytest.mark.parametrize(("flags", "expected"), FLAGS)
def test_programs_connect_to_a_mounted_socket_only_with_a_flag(
    flags: tuple[str, ...], expected: list[str], valid: LaunchRequest, service: Path
) -> None:
    found = violations(replace(changed(valid, add_mount(str(service))), flags=flags))
    assert [f"{each.rule} {each.severity}" for each in found] == expected


def test_socket_over_a_socket_is_an_error(valid: LaunchRequest, service: Path) -> None:
    """runsc opens the mount point, which it cannot if that is a socket."""
    folder = {"source": str(service.parent), "destination": "/y", "options": ["rbind"]}
    both = changed(valid, lambda each: each["mounts"].append(folder))
    both = changed(both, add_mount(str(service), destination="/y/service"))
    (found,) = violations(replace(both, flags=("--host-uds=open",)))
    assert (found.rule, found.severity) == ("F12", "error")
    assert "one is already at /y/service" in found.problem


def test_socket_of_a_service_of_the_driver_is_an_error_without_the_flag(
    valid: LaunchRequest, service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "is_service", lambda source: source == service)
    found = changed(valid, add_mount(str(service)))
    assert [(each.rule, each.severity) for each in violations(found)] == [("F12", "error")]
    assert violations(replace(found, flags=("--host-uds=open",))) == ()


@pytest.mark.parametrize(
    ("variable", "severity"), [("all", "error"), ("void", "note"), ("", "note"), ("0", "error")]
)
def test_hook_under_its_former_name_gives_no_gpu(
    variable: str, severity: str, valid: LaunchRequest, tmp_path: Path
) -> None:
    """As CRI-O runs it from /usr/share/containers/oci/hooks.d, for each container."""
    program(tmp_path / "bin", "nvidia-container-toolkit", "")
    hook = {"path": f"{tmp_path}/bin/nvidia-container-toolkit", "args": ["x", "prestart"]}
    request = changed(valid, add_variable("NVIDIA_VISIBLE_DEVICES", variable))
    hooked = changed(request, lambda each: each.update(hooks={"prestart": [hook]}))
    without = changed(hooked, lambda each: each.update(linux={}, mounts=[]))
    found = next(each for each in findings(without) if each.rule == "F8")
    assert found.severity == severity
    warned = next(each for each in findings(hooked) if each.rule == "F8")
    assert warned.severity == {"error": "warning"}.get(severity, severity)


def test_hook_that_this_user_may_not_read_is_not_missing(
    valid: LaunchRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Docker's /proc/N/exe."""
    files(tmp_path / "closed", "exe")

    def hooked(path: str) -> LaunchRequest:
        return changed(valid, lambda each: each.update(hooks={"prestart": [{"path": path}]}))

    assert [each.rule for each in violations(hooked(f"{tmp_path}/none/exe"))] == ["F14"]
    real = os.stat

    def closed(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if str(path).startswith(f"{tmp_path}/closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "stat", closed)
    assert violations(hooked(f"{tmp_path}/closed/exe")) == ()
