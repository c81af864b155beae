"""Devices, files and programs for a fake GPU node."""

from pathlib import Path

from worker_images.node.node import Device

NUMBERS = {
    "nvidiactl": (195, 255),
    "nvidia-uvm": (238, 0),
    "nvidia0": (195, 0),
    "nvidia1": (195, 1),
    "nvidia10": (195, 10),
}


DEVICES = tuple(Device(f"/dev/{name}", *numbers) for name, numbers in NUMBERS.items())


def files(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("a file\n")


def program(folder: Path, name: str, output: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.txt").write_text(output)
    (folder / name).write_text(f"#!/bin/sh\nexec cat {folder}/{name}.txt\n")
    (folder / name).chmod(0o755)
