"""Prints what a user's program sees of the GPU, as one JSON object.

It runs on the node and in a sandbox.
"""

import ctypes
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import driver_api

# The requirements' test_gpu.py, unchanged.
TEST_GPU = (sys.executable, str(Path(__file__).parent / "test_gpu.py"))


def main() -> None:
    """Collect the named facts, or all; one that fails has an error and does not affect others."""
    names = sys.argv[1:] or [*FACTS, "test_gpu"]
    # torch takes long to start, so test_gpu.py runs at the same time.
    process = (
        subprocess.Popen(TEST_GPU, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if "test_gpu" in names
        else None
    )
    facts = {name: _collect(FACTS[name]) for name in names if name != "test_gpu"}
    if process:
        output, errors = process.communicate()
        value = {"status": process.returncode, "output": output, "errors": errors}
        facts["test_gpu"] = {"value": value}
    json.dump(facts, sys.stdout)


def _collect(fact: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"value": fact()}
    except Exception as error:  # noqa: BLE001 - the error is the fact
        return {"error": f"{type(error).__name__}: {error}"}


def _run(*command: str) -> dict[str, Any]:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return {"status": result.returncode, "output": result.stdout, "errors": result.stderr}


def kernel() -> dict[str, Any]:
    """Return the version and the log of the kernel that handles system calls."""
    return {"version": Path("/proc/version").read_text(), "log": _run("dmesg")["output"]}


def devices() -> dict[str, list[int]]:
    """Return every device of the driver in /dev, with its numbers."""
    found = {
        path: path.stat().st_rdev
        for path in sorted(Path("/dev").glob("nvidia*"))
        if path.is_char_device()
    }
    return {path.name: [os.major(number), os.minor(number)] for path, number in found.items()}


def parameters() -> str:
    """Return the driver's parameters, which include ModifyDeviceFiles."""
    return Path("/proc/driver/nvidia/params").read_text()


def loader() -> dict[str, str]:
    """Rebuild the loader's cache, and return each libcuda.so.1 in it with its resolved path."""
    _run("ldconfig", *filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")))
    lines = [
        line.partition(" => ")[2]
        for line in _run("ldconfig", "-p")["output"].splitlines()
        if "libcuda.so.1 " in line
    ]
    return {path: os.path.realpath(path) for path in lines}


def loaded() -> str:
    """Return the file that a program loads as libcuda.so.1."""
    ctypes.CDLL("libcuda.so.1")
    found = re.search(r"/\S*libcuda\.so\S*", Path("/proc/self/maps").read_text())
    return os.path.realpath(found[0]) if found else ""


def driver() -> dict[str, Any]:
    """Return libcuda's version, its GPUs' names and UUIDs, and whether a kernel adds on each."""
    first = driver_api.Cuda()
    count = first.number("cuDeviceGetCount")
    gpus = [_gpu(index) for index in range(count)]
    return {
        "cuda": first.number("cuDriverGetVersion"),
        "gpus": [gpu for gpu, _ in gpus],
        "added": all(added for _, added in gpus),
    }


def _gpu(index: int) -> tuple[tuple[str, str], bool]:
    """Return a GPU's name and UUID, and whether a kernel adds on it."""
    context = driver_api.Cuda(index)
    return (context.name(), context.uuid()), driver_api.added(context)


def smi() -> dict[str, Any]:
    """Return the GPUs and the driver version that nvidia-smi prints."""
    return {
        "list": _run("nvidia-smi", "-L"),
        "version": _run("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
    }


def torch() -> dict[str, Any]:
    """Return what torch reports, and on each GPU the sum of a product of matrices of ones."""
    import torch

    every = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    ones = [torch.ones(512, 512, device=each) for each in every]
    return {
        "version": torch.__version__,
        "available": torch.cuda.is_available(),
        "gpus": [torch.cuda.get_device_name(each) for each in every],
        "sums": [float((each @ each).sum()) for each in ones],
    }


FACTS: dict[str, Callable[[], Any]] = {
    fact.__name__: fact
    for fact in (kernel, devices, parameters, loader, loaded, driver, smi, torch)
}

if __name__ == "__main__":
    main()
