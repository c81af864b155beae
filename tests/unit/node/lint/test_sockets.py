"""The linter knows what a mounted socket does: runsc release-20260622.0 starts, and refuses it.

Each of these was tried with runsc.
"""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.specifications import add_mount, changed
from worker_images.node.lint.lint import findings
from worker_images.node.lint.request import LaunchRequest

STARTS = "the sandbox starts, but its programs cannot connect"


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The socket of a driver's service."""
    folder = tmp_path / "run/nvidia-persistenced"
    folder.mkdir(parents=True)
    # The path of a socket has 107 bytes at most.
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("socket")
        yield folder / "socket"


# Flags, options of the mount, and the rule, severity and problem of each finding.
MOUNTS: tuple[tuple[tuple[str, ...], list[str], list[tuple[str, str, str]]], ...] = (
    ((), ["rbind"], [("F12", "error", STARTS)]),
    (("--host-uds=none",), ["rbind"], [("F12", "error", STARTS)]),
    (("--host-uds=create",), ["rbind"], [("F12", "error", STARTS)]),
    (("--host-uds=open",), ["rbind"], []),
    (("--host-uds=all",), ["rbind"], []),
    (
        ("--overlay2=all:memory",),
        ["rbind"],
        [("F12", "error", STARTS), ("F14", "error", "over which runsc makes no overlay")],
    ),
    (("--overlay2=all:memory",), ["rbind", "ro"], [("F12", "error", STARTS)]),
)


@pytest.mark.parametrize(("flags", "options", "expected"), MOUNTS)
def test_socket_of_a_service_is_refused_by_the_sandbox_alone(
    flags: tuple[str, ...],
    options: list[str],
    expected: list[tuple[str, str, str]],
    valid: LaunchRequest,
    service: Path,
) -> None:
    mount = add_mount(str(service), destination="/run/socket", options=options)
    found = findings(replace(changed(valid, mount), flags=flags))
    assert [(each.rule, each.severity) for each in found] == [each[:2] for each in expected]
    for finding, (_, _, problem) in zip(found, expected, strict=True):
        assert problem in finding.problem


def test_socket_at_the_place_of_one_ends_the_sandbox(valid: LaunchRequest, service: Path) -> None:
    """As in a worker whose root the container shares, or by /run and /var/run of one image."""
    folder = add_mount(str(service.parent), destination="/run/service")
    both = changed(
        changed(valid, folder), add_mount(str(service), destination="/run/service/socket")
    )
    for flags in ((), ("--host-uds=open",)):
        (found,) = findings(replace(both, flags=flags))
        assert (found.rule, found.severity) == ("F12", "error")
        assert "one is already at /run/service/socket, with which runsc ends" in found.problem


def test_folder_of_a_socket_is_valid(valid: LaunchRequest, service: Path) -> None:
    assert findings(changed(valid, add_mount(str(service.parent)))) == ()


@pytest.mark.parametrize("flags", [(), ("--host-uds=open",)])
def test_socket_of_a_service_that_does_not_exist_ends_the_sandbox(
    flags: tuple[str, ...], valid: LaunchRequest
) -> None:
    mount = add_mount("/run/nvidia-fabricmanager/none")
    (found,) = findings(replace(changed(valid, mount), flags=flags))
    assert (found.rule, found.severity) == ("F12", "error")
    assert "does not exist, with which runsc ends with EOF" in found.problem
