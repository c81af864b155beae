"""Each rule accepts what large launchers write, and refuses one change of it.

The fixtures have the form of GKE's device plugin, NVIDIA's with PASS_DEVICE_SPECS or volume mounts,
CDI by nvidia-ctk, containerd, CRI-O, Podman and NVIDIA's DRA driver, `docker run --gpus`, beta9's
worker, and `runsc spec`.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import launchers
from tests.support.specifications import Change, change_device, changed
from worker_images.files import ROOT
from worker_images.node.lint import lint
from worker_images.node.lint.lint import RULES, findings
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.lint.view import with_absolute_paths

FORMS = ROOT / "tests/unit/reports/launchers"
NAMES = sorted(path.name.removesuffix(".config.json") for path in FORMS.glob("*.config.json"))
# What runsc leaves out, by the launcher's name; the others have no finding at all.
NOTES = {
    "beta9": ["F6"],
    "containerd-cdi": ["F7"] * 4 + ["F8"] * 2,
    "crio-cdi-user-namespace": ["F8"],
    "docker-gpus": ["F8"],
    "dra-driver-rhel": ["F8"] * 2,
    "gke-plugin": ["F7"] * 2,
    "nvidia-ctk-cdi": ["F7"] * 2 + ["F8"],
    "nvidia-plugin-device-specs": ["F7"] * 2,
    "podman-cdi": ["F8"],
}
Form = Callable[[str], LaunchRequest]


@pytest.fixture
def form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Form:
    """Return the request of a launcher, on a node whose PATH has nvidia-container-cli."""
    node, bundle = tmp_path / "node", tmp_path / "bundle"
    here = launchers.node(node)
    (node / "usr/bin/nvidia-container-cli").chmod(0o755)
    monkeypatch.setenv("PATH", f"{node}/usr/bin:{os.environ['PATH']}")
    launchers.debian(bundle / "rootfs")

    def request(name: str) -> LaunchRequest:
        text = (FORMS / f"{name}.config.json").read_text()
        found = launchers.specification(text, node, bundle)
        return LaunchRequest(with_absolute_paths(found, bundle), here)

    return request


def variables(*added: str, without: str = " ") -> Change:
    def change(specification: dict[str, Any]) -> None:
        process = specification["process"]
        kept = [pair for pair in process["env"] if not pair.startswith(without)]
        process["env"] = [*kept, *added]

    return change


def mounts(*added: dict[str, Any]) -> Change:
    return lambda specification: specification["mounts"].extend(added)


def bind(source: str, destination: str) -> dict[str, Any]:
    return {"source": source, "destination": destination, "options": ["rbind", "ro"]}


def first_variable(pair: str) -> Change:
    return lambda specification: specification["process"]["env"].insert(0, pair)


def hook(*words: str) -> Change:
    added = {"path": words[0], "args": list(words)}
    return lambda specification: specification["hooks"]["createContainer"].append(added)


def device(**values: object) -> Change:
    return lambda specification: specification["linux"]["devices"].append(values)


def annotation(name: str, value: str) -> Change:
    return lambda specification: specification["annotations"].update({name: value})


def root(path: str) -> Change:
    return lambda specification: specification["root"].update(path=path)


PARAMETERS = "disable-device-node-modification"
CAP = {"type": "c", "major": 507, "minor": 21}
# The rule and its severity, the launcher, the change of its specification, flags, and the problem.
FAILURES: tuple[tuple[str, str, str, Change, tuple[str, ...], str], ...] = (
    (
        *("F3", "error", "gke-plugin"),
        annotation("dev.gvisor.flag.nvproxy-driver-version", "570.86.15"),
        ("--allow-flag-override", "--nvproxy"),
        "--nvproxy-driver-version=570.86.15 forces an ABI",
    ),
    (
        *("F4", "error", "nvidia-plugin-device-specs"),
        lambda specification: specification["mounts"].pop(),
        (),
        "no mount of libcuda.so.580.159.04",
    ),
    (
        *("F5", "error", "gke-plugin"),
        variables(without="LD_LIBRARY_PATH="),
        (),
        "/usr/local/nvidia/lib64 is not in LD_LIBRARY_PATH; the image's loader searches only",
    ),
    (
        *("F6", "error", "containerd-cdi"),
        variables("NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_DRIVER_CAPABILITIES=compute,graphics"),
        (),
        "requests graphics, which nvproxy does not allow",
    ),
    (
        *("F7", "error", "nvidia-plugin-device-specs"),
        change_device(4, minor=2),
        (),
        "/dev/nvidia3 is c 195:2, but is c 195:3 on the node",
    ),
    (
        *("F8", "error", "nvidia-ctk-cdi"),
        hook("/usr/bin/nvidia-ctk", "hook", PARAMETERS),
        (),
        f"/usr/bin/nvidia-ctk {PARAMETERS} fails in a sandbox",
    ),
    (
        *("F9", "error", "nvidia-plugin-device-specs"),
        device(path="/dev/nvidia-caps/nvidia-cap21", **CAP),
        (),
        "/dev/nvidia-caps/nvidia-cap21 is for an instance of MIG",
    ),
    (
        *("F10", "warning", "containerd-cdi"),
        first_variable("NVIDIA_VISIBLE_DEVICES=all"),
        (),
        "linux.devices has GPU 0, but with a hook NVIDIA_VISIBLE_DEVICES=all gives 5",
    ),
    (
        *("F12", "error", "nvidia-ctk-cdi"),
        mounts(bind("/run/nvidia-fabricmanager/socket", "/run/nvidia-fabricmanager/socket")),
        (),
        "/run/nvidia-fabricmanager/socket is a socket",
    ),
    (
        *("F13", "warning", "gke-plugin"),
        mounts(bind("/dev", "/host/dev")),
        (),
        "/dev at /host/dev has nodes of GPUs, which programs open without nvproxy",
    ),
    (
        *("F14", "error", "runsc-spec"),
        variables("NAMELESS"),
        (),
        "NAMELESS has no =, with which runsc ends with EOF",
    ),
)


def test_every_large_launcher_has_a_fixture() -> None:
    assert len(NAMES) == 11
    assert NOTES.keys() < {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_specification_of_a_launcher_passes(name: str, form: Form) -> None:
    found = findings(form(name))
    assert [each for each in found if each.severity != lint.NOTE] == []
    assert sorted(each.rule for each in found) == NOTES.get(name, [])


@pytest.mark.parametrize(
    ("rule", "severity", "name", "change", "flags", "problem"),
    FAILURES,
    ids=[f"{each[0]}-{each[2]}" for each in FAILURES],
)
def test_changed_specification_of_a_launcher_violates_one_rule(
    rule: str,
    severity: str,
    name: str,
    change: Change,
    flags: tuple[str, ...],
    problem: str,
    form: Form,
) -> None:
    request = replace(changed(form(name), change), flags=flags)
    (found,) = lint.violations(request)
    assert (found.rule, found.severity) == (rule, severity)
    assert problem in found.problem
    assert found.step


def test_every_rule_on_specifications_has_a_failing_launcher() -> None:
    assert {each[0] for each in FAILURES} == {rule.name for rule in RULES} - {"F11"}


def device_node(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create a device node; without the right to do so, take a link for one."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        path.symlink_to("/")
        monkeypatch.setattr(stat, "S_ISCHR", stat.S_ISLNK)


def test_device_node_in_the_image_is_a_warning_without_an_overlay(
    form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This machine may mount the folders of tests with nodev.
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=0))
    request = form("gke-plugin")
    assert request.root
    (request.root / "dev").mkdir()
    for name in ("nvidia0", "nvidia1"):
        device_node(request.root / "dev" / name, monkeypatch)
    # A mount point that an earlier run left.
    (request.root / "dev/nvidia2").touch()
    assert lint.violations(request) == ()
    (found,) = lint.violations(replace(request, flags=("--nvproxy", "--overlay2=none")))
    assert (found.rule, found.severity) == ("F13", "warning")
    assert f"{request.root}/dev/nvidia1 is a device node in the image" in found.problem
    by_annotation = changed(request, annotation("dev.gvisor.flag.overlay2", "none"))
    assert [each.rule for each in lint.violations(by_annotation)] == ["F13"]
    read_only = changed(by_annotation, lambda each: each["root"].update(readonly=True))
    assert lint.violations(read_only) == ()
