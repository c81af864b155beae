"""The checklist's pod rows: all pass where all is well, and each fails for its own reason where one
thing is spoilt.
"""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import fake_worker
from tests.support.fake_worker import DRIVER, Worker, failed, run
from worker_images.model.results import PASSED
from worker_images.node.place import Answer, Contained, PlaceError
from worker_images.node.verify import checklist
from worker_images.node.verify.target import shell

Spoil = Callable[[Worker], object]
CLASS, DEVICES, SERVED, COUNT, FILES, VISIBLE, RIGHTS, BOOT = (
    row.check for row in checklist.load() if row.probe
)
POD = {CLASS, DEVICES, SERVED, COUNT, FILES, VISIBLE, RIGHTS, BOOT}


def test_a_sound_pod_passes(worker: Worker, kit_root: Path) -> None:
    text, status, rows = run(kit_root, "--context", "lab", "--kubectl", worker.kubectl)
    assert (status, {check for check, row in rows.items() if row["outcome"] == PASSED}) == (0, POD)
    assert text.endswith("Yes: 8 of 8 checks passed; 14 not selected.")


def plain(worker: Worker, name: str) -> None:
    (worker.tree / f"numbers/{name}").unlink()
    worker.write(f"dev/{name}", "")


def folder(worker: Worker) -> None:
    (worker.tree / "numbers/nvidia0").unlink()
    (worker.tree / "dev/nvidia0").unlink()
    (worker.tree / "dev/nvidia0").mkdir()


def closed(worker: Worker) -> None:
    """What has nothing behind it, as a socket has not, is refused with ENXIO."""
    path = worker.tree / "dev/nvidiactl"
    path.unlink()
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def values(text: str) -> Spoil:
    return lambda worker: worker.write(
        "environment", f"{text}\nPATH={worker.tree}/bin:/usr/bin:/bin\n"
    )


def another_driver(worker: Worker) -> None:
    worker.write("proc/driver/nvidia/version", fake_worker.VERSION.replace(DRIVER, "550.54.14"))


POD_FAULTS: dict[str, tuple[Spoil, set[str], str]] = {
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
    "two asked for": (lambda w: w.pod(gpus=2), {COUNT}, "a GPU is missing"),
    "one too many": (lambda w: w.device("nvidia1", "c3:1"), {COUNT}, "more GPUs than requested"),
    "plain file": (lambda w: plain(w, "nvidiactl"), {DEVICES}, "nvidiactl is a regular empty file"),
    "folder": (folder, {DEVICES, COUNT}, "nvidia0 is a directory"),
    "no devices": (
        lambda w: shutil.rmtree(w.tree / "dev"),
        {DEVICES, COUNT},
        "no nvidiactl, no nvidia-uvm, no nvidia0",
    ),
    "wrong numbers": (
        lambda w: w.write("numbers/nvidia0", "c3:1"),
        {DEVICES},
        "nvidia0 is 195:1, the kernel's is 195:0",
    ),
    "uvm without numbers": (
        lambda w: w.write("numbers/nvidia-uvm", "0:0"),
        {DEVICES},
        "nvidia-uvm is 0:0, the kernel's is 510:0",
    ),
    "no uvm module": (
        lambda w: w.write("proc/devices", "195 nvidia\n"),
        {DEVICES},
        "/proc/devices has no nvidia-uvm",
    ),
    "nothing behind": (closed, {DEVICES}, "nvidiactl: No such device or address"),
    "no driver": (
        lambda w: (w.tree / "proc/driver/nvidia/version").unlink(),
        {SERVED, FILES},
        "driver is not loaded",
    ),
    "driver not served": (another_driver, {SERVED, FILES}, "runsc refuses 550.54.14"),
    "no runsc": (lambda w: (w.tree / "bin/runsc").unlink(), {SERVED, BOOT}, "gives no list"),
    "no libraries": (
        lambda w: shutil.rmtree(w.tree / "usr"),
        {FILES},
        "no libcuda and no libnvidia-ml",
    ),
    "one more libcuda": (
        lambda w: w.write("usr/lib64/libcuda.so.550.54.14", ""),
        {FILES},
        "refuse a driver of another version",
    ),
    "MIG": (values("NVIDIA_VISIBLE_DEVICES=MIG-7"), {VISIBLE}, "no MIG"),
    "void": (values("NVIDIA_VISIBLE_DEVICES=void"), {VISIBLE}, "the runtime adds no GPU"),
    "empty": (values("NVIDIA_VISIBLE_DEVICES="), {VISIBLE}, "the runtime adds no GPU"),
    "all": (values("NVIDIA_VISIBLE_DEVICES=all"), {VISIBLE}, "every GPU of the node"),
    "no namespaces": (
        lambda w: w.write("proc/sys/user/max_user_namespaces", "0"),
        {RIGHTS},
        "neither CAP_SYS_ADMIN nor user namespaces",
    ),
    "no ptrace": (
        lambda w: w.write("proc/sys/kernel/yama/ptrace_scope", "3"),
        {RIGHTS},
        "ptrace is forbidden",
    ),
    "no status": (
        lambda w: (w.tree / "proc/self/status").unlink(),
        {RIGHTS},
        "does not show the rights",
    ),
    "no boot": (Worker.refuse_to_boot, {BOOT}, "the machine forbids runsc to make namespaces"),
    "lost": (lambda w: w.write("lost", ""), POD - {CLASS}, "unable to upgrade connection"),
}


@pytest.mark.parametrize("name", POD_FAULTS)
def test_a_spoilt_pod_fails(name: str, worker: Worker, kit_root: Path) -> None:
    spoil, checks, words = POD_FAULTS[name]
    spoil(worker)
    text, status, rows = run(kit_root, "--context", "lab", "--kubectl", worker.kubectl)
    assert (status, failed(rows)) == (5, checks)
    assert words in " ".join(rows[check]["reason"] for check in checks)
    assert all(rows[check]["step"] for check in checks)
    assert text.splitlines()[-1].startswith(
        f"No: {8 - len(checks)} of 8 checks passed, {len(checks)} failed"
    )


def test_rights_that_a_worker_may_have(worker: Worker, kit_root: Path) -> None:
    """A filter is told and fails nothing.

    CAP_SYS_ADMIN stands in for user namespaces, and SYS_PTRACE for Yama.
    """
    worker.write("proc/self/status", f"CapEff:\t{(1 << 21) + (1 << 19):016x}\nSeccomp:\t2\n")
    worker.write("proc/sys/user/max_user_namespaces", "0\n")
    worker.write("proc/sys/kernel/yama/ptrace_scope", "2\n")
    _, status, rows = run(kit_root, "--context", "lab", "--kubectl", worker.kubectl)
    assert status == 0
    assert rows[RIGHTS]["seen"].startswith("a seccomp filter, which may forbid what runsc does")


def test_a_variable_that_is_not_set_is_well(worker: Worker, kit_root: Path) -> None:
    values("OTHER=1")(worker)
    _, status, rows = run(kit_root, "--context", "lab", "--kubectl", worker.kubectl)
    assert (status, rows[VISIBLE]["outcome"]) == (0, PASSED)


def test_asking_makes_no_device(worker: Worker, kit_root: Path) -> None:
    """A shell that opens a path for writing makes a file of it."""
    (worker.tree / "dev/nvidiactl").unlink()
    _, _, rows = run(kit_root, "--context", "lab", "--kubectl", worker.kubectl)
    assert rows[DEVICES]["reason"] == "no nvidiactl"
    assert sorted(path.name for path in (worker.tree / "dev").iterdir()) == [
        "nvidia-uvm",
        "nvidia0",
    ]


def test_reason_that_repeats_is_printed_once(worker: Worker, kit_root: Path) -> None:
    worker.write("lost", "")
    text, _, _ = run(kit_root, "--context", "lab", "--kubectl", worker.kubectl)
    assert text.count("unable to upgrade connection") == 1
    assert text.count("reason  as above") == 6


def test_status_is_that_of_the_command_not_of_its_carrier() -> None:
    here = Contained(("env",), "here")
    assert shell(here, "echo a; exit 3") == Answer(3, "a\n", "")
    assert shell(here, "no-such-program").status == 127
    with pytest.raises(PlaceError, match="nowhere gave no answer: status 1"):
        shell(Contained(("false",), "nowhere"), "true")
