"""The driver's version in /proc/driver/nvidia/version."""

from pathlib import Path

import pytest

from tests.support.drivers import CLOSED, OPEN
from worker_images.model.drivers import kernel
from worker_images.model.drivers.kernel import version_in
from worker_images.node.stand_in import DRIVER


def test_bytes_that_are_not_text_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "version").write_bytes(b"\xff\xfe" + OPEN.format("580.159.04").encode() + b"\xff")
    assert kernel.version_of(tmp_path / "version") == ""
    (tmp_path / "version").write_bytes(OPEN.format("580.159.04").encode() + b"\xff")
    assert kernel.version_of(tmp_path / "version") == "580.159.04"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (OPEN.format(DRIVER), DRIVER),
        (CLOSED.format("535.129.03"), "535.129.03"),
        ("GCC version:  gcc 12.2.0\n", ""),
        ("", ""),
    ],
)
def test_version_is_found_in_both_kinds_of_module(text: str, version: str) -> None:
    assert version_in(text) == version


def node_of(folder: Path, text: str, *models: str) -> Path:
    """A machine's root, with this version file and a GPU of each model."""
    proc = folder / "proc/driver/nvidia"
    proc.mkdir(parents=True)
    (proc / "version").write_text(text)
    for number, model in enumerate(models):
        (proc / f"gpus/0000:0{number}:00.0").mkdir(parents=True)
        (proc / f"gpus/0000:0{number}:00.0/information").write_text(
            f"Model: \t\t {model}\nIRQ:   \t\t 42\n"
        )
    return folder


@pytest.mark.parametrize(
    ("text", "architecture", "kind"),
    [
        (OPEN.format(DRIVER), "amd64", ""),
        (OPEN.replace("x86_64", "aarch64").format("580.142"), "arm64", ""),
        (CLOSED.format("535.129.03"), "amd64", ""),
        (OPEN.replace("x86_64", "aarch64").format("540.4.0"), "arm64", kernel.L4T),
        (OPEN.replace("x86_64", "aarch64").format("35.4.1"), "arm64", kernel.L4T),
        (OPEN.format("580.95.05").replace("(builder)", "(b@mobile-u64-1)"), "amd64", kernel.L4T),
    ],
)
def test_machine_has_an_architecture_and_a_kind(
    text: str, architecture: str, kind: str, tmp_path: Path
) -> None:
    found = kernel.read(node_of(tmp_path, text, "NVIDIA A40"))
    assert found
    assert (found.architecture, found.kind) == (architecture, kind)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("NVIDIA A40-8Q", kernel.VGPU),
        ("GRID A100D-20C", kernel.VGPU),
        ("NVIDIA A100-1-5CME", kernel.VGPU),
        ("NVIDIA A100-SXM4-80GB", ""),
        ("NVIDIA H100 80GB HBM3", ""),
        ("NVIDIA GeForce RTX 4090", ""),
        ("Tesla V100-SXM2-16GB", ""),
    ],
)
def test_vgpu_guest_is_known_by_its_model(model: str, kind: str, tmp_path: Path) -> None:
    found = kernel.read(node_of(tmp_path, OPEN.format(DRIVER), "NVIDIA A40", model))
    assert found
    assert found.kind == kind


@pytest.mark.parametrize("driver", ["580.159.04", "535.54.03", "580.142", "620.06.00", "545.23.06"])
def test_ordinary_driver_has_no_kind(driver: str) -> None:
    assert kernel.kind_of(driver) == ""


def test_machine_without_a_version_file_has_no_driver(tmp_path: Path) -> None:
    assert kernel.read(tmp_path) is None
    assert kernel.read(node_of(tmp_path, "GCC version:  gcc 12.2.0\n")) is None
