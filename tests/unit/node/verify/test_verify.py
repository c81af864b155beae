"""The checklist as a command: what it asks, where, and what it says and ends with."""

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import archives, fake_worker
from tests.support.fake_worker import DRIVER, GPU, Worker, run
from worker_images import files
from worker_images.files import ROOT
from worker_images.node import node
from worker_images.node.node import Node
from worker_images.node.place import Answer, Contained, PlaceError, Unpacked
from worker_images.node.verify import image, pod, verdict, verify, workload
from worker_images.node.verify.rows import FAILED, NOT_ASKED, NOT_RUN, PASSED, shell
from worker_images.node.verify.verdict import Report

CLASS, _, _, _, FILES, VISIBLE, _, BOOT = (row.check for row in pod.ROWS)
_, _, _, DRIVERS, BOOTS = (row.check for row in image.ROWS)
TORCH, _, _, ADDED, NAMED, ACTIVE, _ = (row.check for row in workload.ROWS)
LIBRARY = Path(f"/usr/lib/x86_64-linux-gnu/libcuda.so.{DRIVER}")


def test_no_kubectl_is_the_machines_fault(kit_root: Path) -> None:
    with pytest.raises(PlaceError, match="no program /no/kubectl; install it"):
        run(kit_root, "--context", "lab", "--kubectl", "/no/kubectl")


@pytest.mark.usefixtures("image")
def test_nothing_to_ask_is_a_matter_of_usage(kit_root: Path) -> None:
    assert run(kit_root)[1] == 2
    assert "--node needs the image" in run(kit_root, "--node", "--context", "lab")[0]
    assert run(kit_root, "--node", "--image", "any", "--python", "")[1] == 2


@pytest.mark.usefixtures("image")
def test_a_machine_without_a_gpu(kit_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pod's rows are asked of the machine, the cluster's are not.

    What needs a GPU is not run, and that is no pass.
    """
    monkeypatch.setattr(node, "read", lambda: Node("", (), (), (), ""))
    text, status, rows = run(kit_root, "--image", "any", "--node")
    by_state = {
        state: {row["layer"] for row in rows.values() if row["state"] == state}
        for state in (NOT_RUN, FAILED)
    }
    assert (status, by_state[NOT_RUN]) == (5, {"workload"})
    assert (rows[CLASS]["state"], rows[VISIBLE]["state"]) == (NOT_ASKED, NOT_ASKED)
    assert (rows[FILES]["state"], rows[BOOT]["state"]) == (FAILED, PASSED)
    assert "no NVIDIA driver on this machine" in text


@pytest.mark.usefixtures("image")
def test_a_node_whose_runsc_makes_no_sandbox(
    kit_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runsc that runs the program beside itself: CUDA is the node's, and the kernel is not
    gVisor's.
    """
    (kit_root / files.PROBES).parent.mkdir(parents=True)
    shutil.copytree(ROOT / files.PROBES, kit_root / files.PROBES)
    for name in ("driver_api.py", "facts.py"):
        assert (kit_root / files.PROBES / name).is_file()
    monkeypatch.setattr(node, "read", lambda: replace(GPU, libraries=(LIBRARY,)))
    monkeypatch.setattr("worker_images.node.bundle._lay_out", lambda *_: None)
    _, status, rows = run(kit_root, "--image", "any", "--node", "--python", sys.executable)
    assert status == 5
    assert rows[DRIVERS]["found"] == f"{DRIVER} among {len(fake_worker.DRIVERS)}"
    assert (rows[NAMED]["state"], rows[ACTIVE]["state"]) == (FAILED, FAILED)
    assert rows[NAMED]["note"]["here"]["status"] == 1
    assert rows[ACTIVE]["found"].endswith(" ".join(Path("/proc/version").read_text().split()))
    assert "torch" in rows[TORCH]["note"]["here"]["said"]


@pytest.mark.usefixtures("image")
def test_devices_that_are_not_there_end_no_other_row(
    kit_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kit_root / files.PROBES).mkdir(parents=True)
    (kit_root / files.PROBES / "facts.py").write_text("print('{}')\n")
    monkeypatch.setattr(node, "read", lambda: replace(GPU, devices=()))
    _, status, rows = run(kit_root, "--image", "any", "--node", "--python", sys.executable)
    assert (status, rows[BOOTS]["state"], rows[ADDED]["state"]) == (5, PASSED, FAILED)
    assert "no /dev/nvidia-uvm, /dev/nvidiactl on this node" in rows[ADDED]["cause"]


def test_how_an_image_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archives.write(tmp_path / "image.tar", [archives.layer(("file", "etc/hello", "x"))])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PlaceError, match="needs root"), verify.opened(str(archive), None):
        pass
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    with verify.opened(str(archive), None) as found:
        assert isinstance(found, Unpacked)
        assert (found.root / "etc/hello").read_text() == "x"
    assert not found.root.exists()
    root = tmp_path / "root"
    (root / "usr/local/bin").mkdir(parents=True)
    with pytest.raises(PlaceError, match="is no worker's root"), verify.opened(str(root), None):
        pass
    (root / "usr/local/bin/runsc").touch()
    with verify.opened(str(root), None) as found:
        assert found == Unpacked(root)
    with (
        pytest.raises(PlaceError, match=r"no file /none/image\.tar"),
        verify.opened("/none/image.tar", None),
    ):
        pass


def test_an_image_of_an_engine_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_DOCKER", str(tmp_path / "docker"))
    with pytest.raises(PlaceError, match="No such file"), verify.opened("worker:slim", GPU):
        pass


def test_a_status_is_the_commands_own() -> None:
    """And never that of what carries it."""
    here = Contained(("env",), "here")
    assert shell(here, "echo a; exit 3") == Answer(3, "a\n", "")
    assert shell(here, "no-such-program").status == 127
    with pytest.raises(PlaceError, match="nowhere gave no answer: status 1"):
        shell(Contained(("false",), "nowhere"), "true")


def test_the_page_holds_every_row_and_no_markup_of_others(worker: Worker, kit_root: Path) -> None:
    worker.write(
        "environment", f"NVIDIA_VISIBLE_DEVICES=<b>&\nPATH={worker.tree}/bin:/usr/bin:/bin\n"
    )
    page = kit_root / "page.html"
    text, _, _ = run(kit_root, "--context", "lab", "--kubectl", worker.kubectl, "--html", str(page))
    html = page.read_text()
    assert html.count("<section>") == len(verify.ROWS)
    assert "&lt;b&gt;&amp;" in html
    assert "<b>&" not in html
    assert "$" not in html.partition("<main>")[0]
    assert "NVIDIA_VISIBLE_DEVICES names whole GPUs" in text


def test_what_repeats_is_said_once(worker: Worker, kit_root: Path) -> None:
    worker.write("lost", "")
    text, _, _ = run(kit_root, "--context", "lab", "--kubectl", worker.kubectl)
    assert text.count("unable to upgrade connection") == 1
    assert text.count("cause   as above") == 6


def test_nothing_asked_is_no_pass() -> None:
    assert not Report((), "").well
    assert verdict.short("a " * 400).endswith("…")
    assert verdict.first_lines(Answer(0, "1\n2\n3\n4\n", "")) == "1\n2\n3\n…"
