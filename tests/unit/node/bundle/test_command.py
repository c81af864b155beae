"""The command bundle prints what it chose, and refuses machines whose GPUs sandboxes cannot use."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support import trees
from worker_images.errors import UsageError
from worker_images.files import ROOT
from worker_images.node import mig, node
from worker_images.node.cards import Card
from worker_images.node.cli import main
from worker_images.node.node import Node
from worker_images.node.stand_in import DRIVER

Capture = pytest.CaptureFixture[str]
FLAG = "--nvproxy-allowed-driver-capabilities"
CARDS = (
    Card("0000:01:00.0", 1, "GPU-1fdaf0a5-179b-f636-d15d-daf243e3ff16", "NVIDIA H100"),
    Card("0000:02:00.0", 0, "GPU-2fdaf0a5-179b-f636-d15d-daf243e3ff16", "NVIDIA H100"),
)


def run(folder: Path, *more: str) -> int:
    (folder / "rootfs/bin").mkdir(parents=True, exist_ok=True)
    paths = ["--rootfs", f"{folder}/rootfs", "--into", f"{folder}/bundle"]
    return main(["bundle", *paths, *more, "--", "true"], ROOT)


@pytest.mark.parametrize("options", [(), ("--read-only",)])
def test_root_is_read_only_with_that_option_alone(
    options: tuple[str, ...], gpu: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "read", lambda: gpu)
    assert run(tmp_path, "--gpus", "none", *options) == 0
    config = json.loads((tmp_path / "bundle/config.json").read_text())
    assert config["root"]["readonly"] is bool(options)


@pytest.fixture
def known(gpu: Node, monkeypatch: pytest.MonkeyPatch) -> Node:
    """This machine, faked with two GPUs that the driver lists in another order."""
    this_node = replace(gpu, cards=CARDS)
    monkeypatch.setattr(node, "read", lambda: this_node)
    return this_node


def read_from(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a tree instead of this machine."""
    read = node.read
    monkeypatch.setattr(node, "read", lambda driver_root=None: read(root, driver_root))


def test_chosen_gpus_are_printed_in_all_their_names(
    known: Node, tmp_path: Path, capsys: Capture
) -> None:
    assert run(tmp_path, "--gpus", "0") == 0
    assert known.driver == DRIVER
    assert f"gpu     0: /dev/nvidia1, 0000:01:00.0, {CARDS[0].uuid}, NVIDIA H100\n" in (
        capsys.readouterr().out
    )
    config = json.loads((tmp_path / "bundle/config.json").read_text())
    devices = {device["path"] for device in config["linux"]["devices"]}
    assert devices == {"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia1"}
    assert f"NVIDIA_VISIBLE_DEVICES={CARDS[0].uuid}" in config["process"]["env"]


def test_json_has_files_gpus_and_the_command(known: Node, tmp_path: Path, capsys: Capture) -> None:
    assert run(tmp_path, "--json", "--gpus", "minor:0", "--memory", "1g") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["driver"], found["source"]) == (DRIVER, "the loader's cache")
    assert found["libraries"] == [str(path) for path in known.libraries]
    (gpu,) = found["gpus"]
    assert (gpu["index"], gpu["minor"], gpu["uuid"]) == (1, 0, CARDS[1].uuid)
    assert found["command"][0] == "runsc"
    assert found["command"][-4:] == ["run", "--bundle", f"{tmp_path}/bundle", "NAME"]
    assert "--ignore-cgroups" not in found["command"]


@pytest.mark.parametrize(
    ("names", "expected", "flag"),
    [
        ("compute,utility", "compute,utility", ""),
        ("utility", "utility", ""),
        (" video, compute", "compute,video", f"{FLAG}=compute,video"),
        ("all", "compute,utility,graphics,video", f"{FLAG}=compute,utility,graphics,video"),
        (
            "compute,utility,profiling",
            "compute,utility,profiling",
            f"{FLAG}=compute,utility,profiling",
        ),
    ],
)
def test_printed_command_allows_the_capabilities(
    names: str, expected: str, flag: str, known: Node, tmp_path: Path, capsys: Capture
) -> None:
    """On the spec path runsc grants what its flag allows; the default needs no flag."""
    assert known.libraries
    assert run(tmp_path, "--capabilities", names) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert (flag in line.split()) if flag else (FLAG not in line)
    config = json.loads((tmp_path / "bundle/config.json").read_text())
    if names != "utility":
        assert f"NVIDIA_DRIVER_CAPABILITIES={expected}" in config["process"]["env"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("compute,ngx", "runsc does not support the capability ngx"),
        ("display", "runsc does not support the capability display"),
        ("cuda", "no capability 'cuda'; name all, or some of compute, utility, graphics, video"),
        ("", "no capability ''"),
    ],
)
def test_capability_that_runsc_does_not_have_is_a_usage_error(
    names: str, message: str, known: Node, tmp_path: Path, capsys: Capture
) -> None:
    assert known.driver
    with pytest.raises(SystemExit) as exit_:
        run(tmp_path, "--capabilities", names)
    assert exit_.value.code == UsageError.exit_code
    assert message in capsys.readouterr().err


def test_container_without_gpus_has_no_flag_of_capabilities(
    known: Node, tmp_path: Path, capsys: Capture
) -> None:
    assert known.driver
    assert run(tmp_path, "--gpus", "none", "--capabilities", "all") == 0
    assert "nvproxy" not in capsys.readouterr().out


def test_gpu_in_mig_mode_is_refused(
    known: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    cards = (replace(CARDS[0], in_mig_mode=True), CARDS[1])
    monkeypatch.setattr(mig, "with_mode", lambda found: replace(found, cards=cards))
    assert known.driver
    assert run(tmp_path, "--gpus", "0") == 4
    assert "turn MIG off: nvidia-smi -i 0 -mig 0" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()
    assert run(tmp_path, "--gpus", "1") == 0


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        ("jetson", "driver 540.4.0 is a driver of Jetson (L4T), which no gVisor release serves"),
        ("wsl", "this machine has no NVIDIA kernel driver: neither"),
        ("wsl", "under WSL2 nvidia-smi shows the driver of Windows; use a machine with Linux"),
        ("plain", "no NVIDIA driver on this node: /proc/driver/nvidia/version does not exist"),
    ],
)
def test_machine_that_runsc_cannot_serve_is_refused_with_the_reason(
    machine: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    """A Jetson has a libcuda and device nodes, and WSL2 has nvidia-smi."""
    root = tmp_path / machine
    root.mkdir()
    if machine == "jetson":
        proc = (trees.LAUNCH / "05-jetson-540.proc").read_text()
        files = ["usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1.1"]
        trees.lay_out({"proc": proc, "files": files}, root)
    if machine == "wsl":
        trees.write(root / "dev/dxg", b"")
        trees.write(root / "usr/lib/wsl/lib/libcuda.so.1", trees.content("libcuda.so", 62))
    read_from(root, monkeypatch)
    assert run(tmp_path) == 4
    assert message in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()
    assert run(tmp_path, "--gpus", "none") == 0


def tree(root: Path, *files: str) -> Path:
    """A node with two GPUs whose driver has these files."""
    proc = (trees.LAUNCH / "01-open-module.proc").read_text()
    for card in CARDS:
        trees.gpu(root, card.address, card.minor, card.uuid)
    return trees.lay_out({"proc": proc, "files": [*files]}, root).root


def test_files_of_another_driver_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """A driver was upgraded, or the kernel's own is in another root."""
    root = tree(
        tmp_path / "node",
        *("usr/lib64/libcuda.so.580.159.04", "home/kubernetes/bin/nvidia/lib64/libcuda.so.1.1"),
    )
    (root / "lib64").symlink_to("usr/lib64")
    read_from(root, monkeypatch)
    assert run(tmp_path) == 4
    error = capsys.readouterr().err
    other = f"{root}/usr/lib64/libcuda.so.580.159.04"
    assert "no libcuda.so.565.57.01 on this node; the kernel's driver is 565.57.01" in error
    assert f"only {other} was found: name the driver's root with --driver-root" in error
    assert "or restart the node if the driver was updated" in error


def test_empty_file_of_the_driver_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Another container's mount point, or an image that was committed under NVIDIA's runtime."""
    root = tree(tmp_path / "node")
    (root / "usr/lib64").mkdir(parents=True)
    (root / "usr/lib64/libcuda.so.565.57.01").touch()
    (root / "lib64").symlink_to("usr/lib64")
    read_from(root, monkeypatch)
    assert run(tmp_path) == 4
    error = capsys.readouterr().err
    assert f"{root}/usr/lib64/libcuda.so.565.57.01 is no library of this machine" in error
    assert "restart the node" not in error


def test_driver_root_is_searched_instead_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    read_from(tree(tmp_path / "worker"), monkeypatch)
    host = tree(tmp_path / "host", "usr/lib64/libcuda.so.565.57.01", "usr/bin/nvidia-smi")
    assert run(tmp_path) == 4
    assert "name another with --driver-root" in capsys.readouterr().err
    devices = tmp_path / "worker/dev"
    devices.mkdir()
    for name in ("nvidiactl", "nvidia-uvm"):
        (devices / name).symlink_to("/dev/null")
    monkeypatch.setattr(mig, "with_mode", lambda found: pytest.fail(f"{found.programs} runs"))
    assert run(tmp_path, "--driver-root", str(host)) == 4
    assert "no GPU on this node" in capsys.readouterr().err
    assert run(tmp_path, "--driver-root", str(host), "--gpus", "none") == 0
    assert f"1 libraries from {host}/usr/lib64 (the system's folders)" in capsys.readouterr().out
    config: dict[str, Any] = json.loads((tmp_path / "bundle/config.json").read_text())
    sources = [mount.get("source") for mount in config["mounts"]]
    assert f"{host}/usr/lib64/libcuda.so.565.57.01" in sources
    assert f"{host}/usr/bin/nvidia-smi" in sources


def test_help_names_each_form_of_a_gpu_and_capability(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["bundle", "--help"], ROOT)
    text = " ".join(capsys.readouterr().out.split())
    for word in ("minor:N", "UUID such as GPU-...", "graphics, video, all", "--driver-root /host"):
        assert word in text
