"""The permissions of a pod, and the cause of a sandbox that does not start."""

import subprocess
from pathlib import Path

import pytest

from worker_images.files import ROOT
from worker_images.model import kernel_settings
from worker_images.model.capabilities import SANDBOX, mask
from worker_images.model.drivers import table
from worker_images.node.place import CommandResult
from worker_images.node.pod import boot, permissions

DRIVERS = table.read(ROOT / table.DRIVERS)
CLONE = "kernel/unprivileged_userns_clone"
RESTRICTED = "kernel/apparmor_restrict_unprivileged_userns"
TEXT = """CapEff:\t00000000a80425fb
Seccomp:\t0
kernel/yama/ptrace_scope 1
vm/max_map_count 1048576
user/max_user_namespaces 96365
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
            "runsc runs with --rootless; no seccomp or AppArmor profile; user namespaces allowed;"
            " ptrace_scope 1; max_map_count 1048576; cgroup writable; shared memory 2048 MiB"
        ),
        "",
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"user/max_user_namespaces": "0"}, "user.max_user_namespaces is 0, so only root can"),
        ({"user/max_user_namespaces": "1"}, "user.max_user_namespaces is 1, so only root can"),
        ({CLONE: "0"}, "kernel.unprivileged_userns_clone is 0, so only root can"),
        ({RESTRICTED: "1"}, "kernel.apparmor_restrict_unprivileged_userns is 1, so only root can"),
        (
            {RESTRICTED: "1", "CapEff": f"{mask('SYS_ADMIN', 'SETUID'):x}"},
            "the pod may not create user namespaces, and lacks SYS_ADMIN, SETUID, SETGID, SETFCAP",
        ),
        (
            {"kernel/yama/ptrace_scope": "3", "CapEff": f"{mask(*SANDBOX):x}"},
            "systrap needs ptrace, and kernel.yama.ptrace_scope is 3; on the node: echo",
        ),
    ],
)
def test_permissions_that_rule_out_a_sandbox_fail(values: dict[str, str], problem: str) -> None:
    assert problem in permissions.check(changed(**values)).problem


def test_capabilities_replace_namespaces() -> None:
    """A seccomp filter is shown, and only a sandbox that does not start fails."""
    found = changed(
        **{"CapEff": f"{mask(*SANDBOX):016x}", "user/max_user_namespaces": "0", "Seccomp": "2"}
    )
    assert permissions.check(found).problem == ""
    assert "runsc runs as root; seccomp profile; user namespaces disabled" in str(found)


def test_ptrace_of_descendants_by_root_is_enough() -> None:
    """runsc traces in its own user namespace, where it has the capability."""
    assert permissions.check(changed(**{"kernel/yama/ptrace_scope": "2"})).problem == ""


def test_profile_may_permit_what_the_kernel_forbids_without_one() -> None:
    found = changed(**{RESTRICTED: "1", "apparmor": "worker (enforce)"})
    assert permissions.check(found).problem == ""


@pytest.mark.parametrize(
    ("profile", "filters"),
    [
        ("", ""),
        ("unconfined", ""),
        ("worker (unconfined)", ""),
        ("worker (complain)", ""),
        ("worker (enforce)", "AppArmor profile worker (enforce)"),
        ("worker (kill)", "AppArmor profile worker (kill)"),
    ],
)
def test_profile_confines_the_pod_by_its_mode(profile: str, filters: str) -> None:
    assert changed(apparmor=profile).filters == filters


@pytest.mark.parametrize(
    ("files", "profile"),
    [
        ({"attr/current": "system_u:system_r:container_t:s0:c1,c2\0"}, ""),
        ({"attr/current": "container_t", "attr/apparmor/current": "a (enforce)"}, "a (enforce)"),
        ({"attr/current": "a (enforce)", "enabled": "Y"}, "a (enforce)"),
    ],
)
def test_script_reads_the_profile_of_apparmor_alone(
    files: dict[str, str], profile: str, tmp_path: Path
) -> None:
    """With SELinux the kernel has another context at the same place."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    script = permissions.SCRIPT.replace("/proc/self/attr", f"{tmp_path}/attr")
    script = script.replace("/sys/module/apparmor/parameters/enabled", f"{tmp_path}/enabled")
    printed = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    found = permissions.read(printed.stdout)
    assert found.profile == profile
    assert found.settings == kernel_settings.values()


def test_low_limits_are_shown() -> None:
    found = str(permissions.read("CapEff: 0\nSeccomp: 0\nvm/max_map_count 65530\nshm 65536\n"))
    assert "max_map_count 65530, below the recommended" in found
    assert "cgroup read-only: runsc needs --ignore-cgroups" in found
    assert "shared memory 64 MiB, less than the 1 GiB that NCCL needs" in found


def test_pod_without_proc_fails() -> None:
    assert permissions.check(permissions.read("")).problem.endswith("mount /proc")


def test_sandbox_that_hangs_is_stopped(tmp_path: Path) -> None:
    """The shell that runs it goes on."""
    script = f"({boot.script('echo first; sleep 600', str(tmp_path), 1)}); echo $?"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "first\n124\n"
    problem = boot.started(
        CommandResult(124, done.stdout, done.stderr), "the log's last line", changed(), DRIVERS
    ).problem
    assert problem.startswith("runsc failed: the sandbox did not end in 1 seconds; read its debug")


@pytest.mark.parametrize(("line", "status"), [("echo 'it runs'", 0), ("echo >&2 no; exit 3", 3)])
def test_sandbox_that_ends_keeps_its_outputs(line: str, status: int, tmp_path: Path) -> None:
    command = ["sh", "-c", boot.script(line, str(tmp_path), 60)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert (done.stdout, done.stderr) == (("it runs\n", "") if not status else ("", "no\n"))


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
        (EPERM, {}, "the machine does not permit runsc to create namespaces, or the specification"),
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
