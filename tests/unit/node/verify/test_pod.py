"""The checklist's pod rows pass for a valid pod, and each fails for its reason for a broken one."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import fake_worker
from tests.support.fake_worker import DRIVER, Worker, failed, run
from worker_images.model.results import PASSED
from worker_images.node.place import CommandResult, PlaceError, RunningContainer
from worker_images.node.verify import checklist
from worker_images.node.verify.target import shell

Change = Callable[[Worker], object]
CLASS, DEVICES, SERVED, COUNT, FILES, VISIBLE, RIGHTS, BOOT = (
    row.check for row in checklist.load() if row.probe
)
POD = {CLASS, DEVICES, SERVED, COUNT, FILES, VISIBLE, RIGHTS, BOOT}


def test_valid_pod_passes(worker: Worker, kit_root: Path) -> None:
    text, status, rows = run(kit_root, "--context", "lab", "--kubectl", worker.kubectl)
    assert (status, {check for check, row in rows.items() if row["outcome"] == PASSED}) == (0, POD)
    assert text.endswith("Yes: 8 of 8 checks passed; 14 not selected.")


def replace_by_file(worker: Worker, name: str) -> None:
    (worker.tree / f"numbers/{name}").unlink()
    worker.write(f"dev/{name}", "")


def replace_by_folder(worker: Worker) -> None:
    (worker.tree / "numbers/nvidia0").unlink()
    (worker.tree / "dev/nvidia0").unlink()
    (worker.tree / "dev/nvidia0").mkdir()


def replace_by_socket(worker: Worker) -> None:
    """Opening a socket fails with ENXIO, as opening a device without a driver does."""
    path = worker.tree / "dev/nvidiactl"
    path.unlink()
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(before)


def set_variable(text: str) -> Change:
    return lambda worker: worker.write(
        "environment", f"{text}\nPATH={worker.tree}/bin:/usr/bin:/bin\n"
    )


def another_driver(worker: Worker) -> None:
    worker.write("proc/driver/nvidia/version", fake_worker.VERSION.replace(DRIVER, "550.54.14"))


POD_FAULTS: dict[str, tuple[Change, set[str], str]] = {
    "no pod": (lambda w: (w.tree / "pod.json").unlink(), {CLASS, COUNT}, 'pods "worker" not found'),
    "no class": (
        lambda w: (w.tree / "runtimeclass.json").unlink(),
        {CLASS},
        'runtimeclasss "nvidia" not found',
    ),
    "another handler": (
        lambda w: w.write("runtimeclass.json", '{"handler": "runc"}'),
        {CLASS},
        "has handler runc",
    ),
    "another class": (lambda w: w.pod("gvisor"), {CLASS}, "another runtime"),
    "no limit": (lambda w: w.pod(gpus=0), {CLASS, COUNT}, "requests no GPU"),
    "two requested": (lambda w: w.pod(gpus=2), {COUNT}, "a GPU is missing"),
    "one too many": (lambda w: w.device("nvidia1", "c3:1"), {COUNT}, "more GPUs than requested"),
    "plain file": (
        lambda w: replace_by_file(w, "nvidiactl"),
        {DEVICES},
        "nvidiactl is a regular empty file",
    ),
    "folder": (replace_by_folder, {DEVICES, COUNT}, "nvidia0 is a directory"),
    "no devices": (
        lambda w: shutil.rmtree(w.tree / "dev"),
        {DEVICES, COUNT},
        "missing devices: nvidiactl, nvidia-uvm, nvidiaN",
    ),
    "wrong numbers": (
        lambda w: w.write("numbers/nvidia0", "c3:1"),
        {DEVICES},
        "nvidia0 is 195:1, expected 195:0",
    ),
    "uvm without numbers": (
        lambda w: w.write("numbers/nvidia-uvm", "0:0"),
        {DEVICES},
        "nvidia-uvm is 0:0, expected 510:0",
    ),
    "no uvm module": (
        lambda w: w.write("proc/devices", "195 nvidia\n"),
        {DEVICES},
        "/proc/devices has no nvidia-uvm",
    ),
    "no driver behind": (replace_by_socket, {DEVICES}, "nvidiactl: No such device or address"),
    "no driver": (
        lambda w: (w.tree / "proc/driver/nvidia/version").unlink(),
        {SERVED, FILES},
        "driver is not loaded",
    ),
    "driver not served": (another_driver, {SERVED, FILES}, "runsc does not serve 550.54.14"),
    "no runsc": (lambda w: (w.tree / "bin/runsc").unlink(), {SERVED, BOOT}, "printed no list"),
    "no libraries": (
        lambda w: shutil.rmtree(w.tree / "usr"),
        {FILES},
        "no libcuda and no libnvidia-ml",
    ),
    "one more libcuda": (
        lambda w: w.write("usr/lib64/libcuda.so.550.54.14", ""),
        {FILES},
        "do not work with a driver of another version",
    ),
    "MIG": (set_variable("NVIDIA_VISIBLE_DEVICES=MIG-7"), {VISIBLE}, "no MIG"),
    "void": (set_variable("NVIDIA_VISIBLE_DEVICES=void"), {VISIBLE}, "the runtime adds no GPU"),
    "empty": (set_variable("NVIDIA_VISIBLE_DEVICES="), {VISIBLE}, "the runtime adds no GPU"),
    "all": (set_variable("NVIDIA_VISIBLE_DEVICES=all"), {VISIBLE}, "every GPU of the node"),
    "no namespaces": (
        lambda w: w.write("proc/sys/user/max_user_namespaces", "0"),
        {RIGHTS},
        "neither CAP_SYS_ADMIN nor user namespaces",
    ),
    "no ptrace": (
        lambda w: w.write("proc/sys/kernel/yama/ptrace_scope", "3"),
        {RIGHTS},
        "ptrace is disabled",
    ),
    "no status": (
        lambda w: (w.tree / "proc/self/status").unlink(),
        {RIGHTS},
        "does not show the permissions",
    ),
    "no boot": (
        Worker.forbid_namespaces,
        {BOOT},
        "the machine does not permit runsc to create namespaces",
    ),
    "lost": (lambda w: w.write("lost", ""), POD - {CLASS}, "unable to upgrade connection"),
}


@pytest.mark.parametrize("name", POD_FAULTS)
def test_broken_pod_fails(name: str, worker: Worker, kit_root: Path) -> None:
    change, checks, message = POD_FAULTS[name]
    change(worker)
    text, status, rows = run(kit_root, "--context", "lab", "--kubectl", worker.kubectl)
    assert (status, failed(rows)) == (5, checks)
    assert message in " ".join(rows[check]["reason"] for check in checks)
    assert all(rows[check]["step"] for check in checks)
    assert text.splitlines()[-1].startswith(
        f"No: {8 - len(checks)} of 8 checks passed, {len(checks)} failed"
    )


def test_capabilities_replace_namespaces_and_ptrace_settings(
    worker: Worker, kit_root: Path
) -> None:
    """A seccomp filter is reported and does not fail the check."""
    worker.write("proc/self/status", f"CapEff:\t{(1 << 21) + (1 << 19):016x}\nSeccomp:\t2\n")
    worker.write("proc/sys/user/max_user_namespaces", "0\n")
    worker.write("proc/sys/kernel/yama/ptrace_scope", "2\n")
    _, status, rows = run(kit_root, "--context", "lab", "--kubectl", worker.kubectl)
    assert status == 0
    assert rows[RIGHTS]["seen"].startswith("a seccomp filter, which may block runsc")


def test_unset_variable_passes(worker: Worker, kit_root: Path) -> None:
    set_variable("OTHER=1")(worker)
    _, status, rows = run(kit_root, "--context", "lab", "--kubectl", worker.kubectl)
    assert (status, rows[VISIBLE]["outcome"]) == (0, PASSED)


def test_probe_creates_no_device(worker: Worker, kit_root: Path) -> None:
    """A shell that opens a missing path for writing creates a file."""
    (worker.tree / "dev/nvidiactl").unlink()
    _, _, rows = run(kit_root, "--context", "lab", "--kubectl", worker.kubectl)
    assert rows[DEVICES]["reason"] == "missing devices: nvidiactl"
    assert sorted(path.name for path in (worker.tree / "dev").iterdir()) == [
        "nvidia-uvm",
        "nvidia0",
    ]


def test_reason_that_repeats_is_printed_once(worker: Worker, kit_root: Path) -> None:
    worker.write("lost", "")
    text, _, _ = run(kit_root, "--context", "lab", "--kubectl", worker.kubectl)
    assert text.count("unable to upgrade connection") == 1
    assert text.count("reason  as above") == 6


def test_status_is_that_of_the_command_not_of_the_transport() -> None:
    here = RunningContainer(("env",), "here")
    assert shell(here, "echo a; exit 3") == CommandResult(3, "a\n", "")
    assert shell(here, "no-such-program").status == 127
    with pytest.raises(PlaceError, match="nowhere did not respond: exit status 1"):
        shell(RunningContainer(("false",), "nowhere"), "true")
