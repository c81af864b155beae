"""The linter reads NVIDIA's variables, and runs or skips hooks, as runsc does."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.nodes import program
from tests.support.specifications import changed
from worker_images.node.lint import view
from worker_images.node.lint.lint import Finding, findings
from worker_images.node.lint.request import LaunchRequest

CDI = {"createContainer": [{"path": "/opt/nvidia-cdi-hook", "args": ["x", "create-symlinks"]}]}
LEGACY = {"prestart": [{"path": "/usr/bin/nvidia-container-runtime-hook"}]}
VISIBLE, CAPABILITIES = "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"


@pytest.fixture
def toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH with nvidia-container-cli and nvidia-cdi-hook."""
    for name in ("nvidia-container-cli", "nvidia-cdi-hook"):
        program(tmp_path / "toolkit", name, "")
    monkeypatch.setenv("PATH", f"{tmp_path}/toolkit:{os.environ['PATH']}")
    return tmp_path / "toolkit"


def launched(
    valid: LaunchRequest, hooks: dict[str, Any] | None, *pairs: str, flags: Sequence[str] = ()
) -> LaunchRequest:
    """The valid request with a hook, and with no other of NVIDIA's variables than these."""

    def change(specification: dict[str, Any]) -> None:
        process = specification["process"]
        kept = [pair for pair in process["env"] if not pair.startswith("NVIDIA_")]
        process["env"] = [*kept, *pairs]
        specification["hooks"] = hooks

    return replace(changed(valid, change), flags=tuple(flags))


# Hooks, flags, the values of NVIDIA_VISIBLE_DEVICES, and the one on which runsc acts.
VALUES: tuple[tuple[dict[str, Any] | None, tuple[str, ...], tuple[str, ...], str], ...] = (
    (None, (), ("all",), ""),
    (None, ("--nvproxy",), ("all",), ""),
    (None, ("--nvproxy-docker",), ("all",), "all"),
    (None, ("--nvproxy-docker=false",), ("all",), ""),
    (None, ("--nvproxy-docker",), (), ""),
    (None, ("--nvproxy-docker",), ("",), ""),
    (None, ("--nvproxy-docker",), ("void",), ""),
    (None, ("--nvproxy-docker",), ("all", "void"), ""),
    (None, ("--nvproxy-docker",), ("none",), "none"),
    (LEGACY, (), ("0", "1"), "1"),
    (LEGACY, (), ("all", "void"), ""),
    (CDI, (), ("void",), ""),
    (CDI, (), ("all", "void"), "all"),
    (CDI, (), ("void", "all"), "all"),
    (CDI, (), ("all", "void", "void"), ""),
    ({"prestart": CDI["createContainer"]}, (), ("all",), ""),
    ({"createRuntime": LEGACY["prestart"]}, (), ("all",), ""),
    ({"createContainer": [{"path": "nvidia-cdi-hook"}]}, (), ("all",), ""),
    ({"createContainer": [{"path": "/usr/bin/nvidia-ctk"}]}, (), ("all",), ""),
)


@pytest.mark.parametrize(("hooks", "flags", "values", "expected"), VALUES)
def test_variable_counts_only_with_a_hook(
    hooks: dict[str, Any] | None,
    flags: tuple[str, ...],
    values: tuple[str, ...],
    expected: str,
    valid: LaunchRequest,
) -> None:
    request = launched(valid, hooks, *(f"{VISIBLE}={value}" for value in values), flags=flags)
    assert view.visible_devices(request) == expected


def about(found: Sequence[Finding]) -> list[str]:
    """Rule and severity of the findings, without the notes of F8."""
    shown = [f"{each.rule} {each.severity}" for each in found]
    return [each for each in shown if each != "F8 note"]


# Variables with a hook, flags, and the findings on a node with two GPUs, both of them in
# linux.devices.
HOOKED: tuple[tuple[tuple[str, ...], tuple[str, ...], list[str]], ...] = (
    ((f"{VISIBLE}=all",), (), []),
    ((f"{VISIBLE}=0,1",), (), []),
    ((f"{VISIBLE}=0",), (), []),
    ((f"{VISIBLE}=GPU-1c02,GPU-1c03",), (), []),
    ((f"{VISIBLE}=none",), (), []),
    ((f"{VISIBLE}=0,1,2",), (), ["F9 error", "F10 warning"]),
    ((f"{VISIBLE}=2",), (), ["F9 error"]),
    ((f"{VISIBLE}={'0' * 5000}",), (), ["F9 error"]),
    ((f"{VISIBLE}=0,",), (), ["F9 error"]),
    ((f"{VISIBLE}=0, 1",), (), ["F9 error"]),
    ((f"{VISIBLE}=MIG-1c02",), (), ["F9 error"]),
    ((f"{VISIBLE}=0:1",), (), ["F9 error"]),
    ((f"{VISIBLE}=nvidia.com/gpu=0",), (), ["F9 error"]),
    ((f"{VISIBLE}=/var/run/nvidia-container-devices",), (), ["F9 error"]),
    ((f"{VISIBLE}=0", f"{CAPABILITIES}="), (), []),
    ((f"{VISIBLE}=0", f"{CAPABILITIES}=all"), (), []),
    ((f"{VISIBLE}=0", f"{CAPABILITIES}=all,ngx"), (), []),
    ((f"{VISIBLE}=0", f"{CAPABILITIES}=all,foo"), (), ["F6 error"]),
    ((f"{VISIBLE}=0", f"{CAPABILITIES}=compute, utility"), (), []),
    ((f"{VISIBLE}=0", f"{CAPABILITIES}=compute,video"), (), ["F6 error"]),
    ((f"{VISIBLE}=0", f"{CAPABILITIES}=compute,foo"), (), ["F6 error"]),
    ((f"{VISIBLE}=0", f"{CAPABILITIES}=ngx"), ("all",), ["F6 error"]),
    ((f"{VISIBLE}=0", f"{CAPABILITIES}=graphics,video"), ("all",), []),
    ((f"{VISIBLE}=0", f"{CAPABILITIES}=compute,video"), ("compute,video",), []),
    ((f"{VISIBLE}=0", f"{CAPABILITIES}=profiling"), ("all",), ["F6 error"]),
    ((f"{VISIBLE}=0", f"{CAPABILITIES}=profiling"), ("all,profiling",), []),
)


@pytest.mark.parametrize(("pairs", "allowed", "expected"), HOOKED)
def test_variables_with_a_hook_are_those_that_runsc_accepts(
    pairs: tuple[str, ...],
    allowed: tuple[str, ...],
    expected: list[str],
    valid: LaunchRequest,
    toolkit: Path,
) -> None:
    assert toolkit
    flags = [f"--nvproxy-allowed-driver-capabilities={each}" for each in allowed]
    assert about(findings(launched(valid, LEGACY, *pairs, flags=flags))) == expected


@pytest.mark.parametrize(
    ("requested", "steps"),
    [
        (
            "compute,video",
            ["--nvproxy-allowed-driver-capabilities=compute,utility,video allows it"],
        ),
        ("ngx", ["remove ngx, which no flag can allow"]),
        (
            "graphics,ngx",
            ["remove ngx", "--nvproxy-allowed-driver-capabilities=compute,utility,graphics"],
        ),
    ],
)
def test_refused_capability_names_the_flag_that_allows_it(
    requested: str, steps: list[str], valid: LaunchRequest
) -> None:
    """Without a hook it is a note: runsc does not read the variable."""
    (found,) = findings(launched(valid, None, f"{CAPABILITIES}={requested}"))
    assert (found.rule, found.severity) == ("F6", "note")
    assert [each for each in steps if each not in found.step] == []
    assert ("remove" in found.step) is ("ngx" in requested)


def test_capabilities_of_the_flag_replace_the_default(valid: LaunchRequest) -> None:
    flags = ("--nvproxy-allowed-driver-capabilities=compute",)
    (found,) = findings(launched(valid, None, f"{CAPABILITIES}=compute,utility", flags=flags))
    assert "requests utility" in found.problem


PARAMETERS = "disable-device-node-modification"
# A stage, the path of a hook, its command, and the severity: runsc runs, skips, or cannot run it.
HOOKS = (
    ("createContainer", "{}/nvidia-cdi-hook", "create-symlinks", "note"),
    ("createContainer", "/none/nvidia-cdi-hook", "create-symlinks", "error"),
    ("createContainer", "/none/nvidia-cdi-hook", PARAMETERS, "note"),
    ("createContainer", "/none/nvidia-ctk", "create-symlinks", "error"),
    ("createContainer", "{}/nvidia-ctk", PARAMETERS, "error"),
    ("createRuntime", "/none/nvidia-cdi-hook", "create-symlinks", "error"),
    ("prestart", "/none/nvidia-container-runtime-hook", "prestart", "note"),
    ("createContainer", "/none/nvidia-container-runtime-hook", "x", "note"),
    ("startContainer", "/none/nvidia-ctk", "x", "note"),
    ("poststop", "/none/nvidia-ctk", "x", "note"),
    ("createRuntime", "/bin/sh", "nvidia-container-cli", "warning"),
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("all", ["F10 note"]), ("GPU-1c02", ["F10 note"]), ("void", []), ("none", []), ("", [])],
)
def test_variable_without_a_hook_and_without_devices_gives_no_gpu(
    value: str, expected: list[str], valid: LaunchRequest
) -> None:
    """As NVIDIA's device plugin does without PASS_DEVICE_SPECS."""
    request = launched(valid, None, f"{VISIBLE}={value}")
    without = changed(request, lambda specification: specification.pop("linux"))
    assert about(findings(without)) == expected


@pytest.mark.parametrize(("stage", "path", "word", "severity"), HOOKS)
def test_hook_is_run_skipped_or_refused(
    stage: str, path: str, word: str, severity: str, valid: LaunchRequest, toolkit: Path
) -> None:
    hook = {"path": path.format(toolkit), "args": ["x", word]}
    (found,) = findings(launched(valid, {stage: [hook]}))
    assert (found.rule, found.severity) == ("F8", severity)
    assert found.where == f"hooks.{stage}[0]"


def test_programs_of_hooks_are_not_those_of_the_node_if_runsc_is_in_a_container(
    valid: LaunchRequest, toolkit: Path
) -> None:
    hook = {"createContainer": [{"path": f"{toolkit}/nvidia-cdi-hook"}]}
    found = findings(replace(launched(valid, hook, f"{VISIBLE}=0"), host="/host"))
    assert [f"{each.rule} {each.severity}" for each in found] == ["F8 warning"] * 2


def test_hook_that_provides_devices_and_libraries_needs_none_in_the_specification(
    valid: LaunchRequest, toolkit: Path
) -> None:
    assert toolkit
    request = launched(valid, LEGACY, f"{VISIBLE}=all")
    bare = changed(request, lambda each: each.update(mounts=[], linux=None))
    assert about(findings(bare)) == []
    one = {"path": "/dev/nvidia0", "type": "c", "major": 195, "minor": 0}
    some = changed(bare, lambda each: each.update(linux={"devices": [one]}))
    assert about(findings(some)) == ["F10 warning"]
    assert about(findings(replace(bare, node=replace(bare.node, driver="")))) == ["F4 error"]


def test_missing_cli_is_an_error_only_if_runsc_needs_it(
    valid: LaunchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/none")
    for hooks, flags, value, expected in (
        (LEGACY, (), "void", []),
        (LEGACY, (), "0", ["F8 error"]),
        (None, ("--nvproxy-docker",), "void", []),
        (None, ("--nvproxy-docker",), "0", ["F8 error"]),
    ):
        request = launched(valid, hooks, f"{VISIBLE}={value}", flags=flags)
        assert about(findings(request)) == expected
