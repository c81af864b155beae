"""The permissions of a pod, and the cause of a sandbox that does not start."""

import pytest

from worker_images.files import ROOT
from worker_images.model.drivers import table
from worker_images.node.place import CommandResult
from worker_images.node.pod import boot, permissions
from worker_images.node.pod.permissions import ADMIN, PTRACE

DRIVERS = table.read(ROOT / table.DRIVERS)
TEXT = """CapEff:\t00000000a80425fb
Seccomp:\t0
ptrace_scope 1
max_map_count 1048576
max_user_namespaces 96365
apparmor unconfined
cgroup writable
shm 2097152
"""
EPERM = "creating process: fork/exec /proc/self/exe: operation not permitted"


def changed(**values: str) -> permissions.Permissions:
    return permissions.Permissions(permissions.read(TEXT).values | values)


def test_usual_permissions_pass() -> None:
    found = permissions.check(permissions.read(TEXT))
    assert (found.seen, found.problem) == (
        (
            "without CAP_SYS_ADMIN; no seccomp or AppArmor profile; user namespaces allowed;"
            " ptrace_scope 1; max_map_count 1048576; cgroup writable; shared memory 2048 MiB"
        ),
        "",
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"max_user_namespaces": "0"}, "neither CAP_SYS_ADMIN nor user namespaces"),
        ({"unprivileged_userns_clone": "0"}, "neither CAP_SYS_ADMIN nor user namespaces"),
        ({"ptrace_scope": "2"}, "ptrace is disabled, but systrap needs it"),
        ({"ptrace_scope": "3", "CapEff": f"{PTRACE:x}"}, "ptrace is disabled"),
    ],
)
def test_permissions_that_rule_out_a_sandbox_fail(values: dict[str, str], problem: str) -> None:
    assert permissions.check(changed(**values)).problem.startswith(problem)


def test_capabilities_replace_namespaces_and_ptrace_settings() -> None:
    """A seccomp filter is shown, and only a sandbox that does not start fails."""
    found = changed(
        CapEff=f"{ADMIN | PTRACE:016x}",
        max_user_namespaces="0",
        ptrace_scope="2",
        Seccomp="2",
    )
    assert permissions.check(found).problem == ""
    assert "seccomp profile" in permissions.check(found).seen


def test_low_limits_are_shown() -> None:
    found = str(permissions.read("CapEff: 0\nSeccomp: 0\nmax_map_count 65530\nshm 65536\n"))
    assert "max_map_count 65530, below the recommended" in found
    assert "cgroup read-only: runsc needs --ignore-cgroups" in found
    assert "shared memory 64 MiB, less than the 1 GiB that NCCL needs" in found


def test_pod_without_proc_fails() -> None:
    assert permissions.check(permissions.read("")).problem.endswith("mount /proc")


def test_started_sandbox_shows_its_kernel() -> None:
    found = CommandResult(0, "Linux version 4.19.0-gvisor\nmore\n", "")
    assert boot.started(found, "", changed(), DRIVERS).seen == "Linux version 4.19.0-gvisor"
    other = CommandResult(0, "Linux version 6.12.0\n", "")
    assert boot.started(other, "", changed(), DRIVERS).problem.startswith("runsc failed: Linux ver")


@pytest.mark.parametrize(
    ("text", "values", "problem"),
    [
        (EPERM, {"Seccomp": "2"}, "runsc cannot create a sandbox: the pod's seccomp profile"),
        ("cannot read client sync file", {"Seccomp": "2"}, "runsc cannot create a sandbox"),
        (
            EPERM,
            {"apparmor": "cri-containerd.apparmor.d (enforce)"},
            "runsc cannot create a sandbox: the pod's AppArmor profile cri-containerd.apparmor.d",
        ),
        (EPERM, {}, "the machine does not permit runsc to create namespaces; run the worker with"),
        (
            "unsupported Nvidia driver version: 550.54.14",
            {"Seccomp": "2"},
            "this runsc does not serve the node's driver 550.54.14",
        ),
        ("some error\n", {}, "runsc failed: some error; read its debug log"),
        ("", {}, "runsc failed: no output"),
    ],
)
def test_sandbox_that_does_not_start_has_a_cause(
    text: str, values: dict[str, str], problem: str
) -> None:
    found = boot.started(CommandResult(128, "", text), "", changed(**values), DRIVERS)
    assert found.problem.startswith(problem)
