"""Measures the speed of a user's program, and prints medians as one JSON object.

It runs on the node and in a sandbox.
"""

import ctypes
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import all_reduce
import driver_api

REPEATS = 15
LAUNCHES = 2000
# Launches are measured in short bursts, within which the processor's speed seldom changes.
BURSTS, BURST = 200, 400
COPY_BYTES = 256 << 20
ALLOCATION_BYTES = 64 << 20
SIDE = 8192


def main() -> None:
    """Measure the named part: driver, with libcuda alone, torch, or nccl."""
    values = PARTS[sys.argv[1]]()
    json.dump(values, sys.stdout)


def _median(measure: Callable[[], float], warm: float) -> float:
    # Clock rates rise under load, so measurements start after a warm-up.
    until = time.perf_counter() + warm
    while time.perf_counter() < until:
        measure()
    return statistics.median(measure() for _ in range(REPEATS))


def with_driver() -> dict[str, Any]:
    """Measure a launch, a copy and an allocation."""
    context = driver_api.Cuda()
    return {
        "launch_us": launch(context),
        "copy_gb_per_s": copy(context),
        "allocate_us": allocate(context),
    }


def launch(context: driver_api.Cuda) -> list[tuple[float, float]]:
    """Return microseconds for each launch of an empty kernel, and for a calibration call.

    Each burst of launches has a burst of calls that only the library handles, which show the speed
    of the processor. Both functions are looked up once, so that Python's share is small.
    """
    one, number = ctypes.c_uint(1), ctypes.byref(ctypes.c_int())
    kernel = (context.kernel("nothing"), *6 * (one,), ctypes.c_uint(0), None, None, None)

    def burst(function: Callable[..., int], *arguments: object, end: Callable[[], int]) -> float:
        context.call("cuCtxSynchronize")
        begin = time.perf_counter()
        for _ in range(BURST):
            function(*arguments)
        end()
        return (time.perf_counter() - begin) / BURST * 1e6

    def launches() -> float:
        return burst(context.library.cuLaunchKernel, *kernel, end=context.library.cuCtxSynchronize)

    def calibration() -> float:
        return burst(context.library.cuDriverGetVersion, number, end=int)

    _median(launches, 0.3)
    return [(launches(), calibration()) for _ in range(BURSTS)]


def copy(context: driver_api.Cuda) -> float:
    """Return gigabytes (10^9) per second from pinned memory to the GPU."""
    pinned, target = ctypes.c_void_p(), context.memory(COPY_BYTES)
    context.call("cuMemHostAlloc", ctypes.byref(pinned), ctypes.c_size_t(COPY_BYTES), 0)

    def measure() -> float:
        begin = time.perf_counter()
        context.call("cuMemcpyHtoD_v2", target, pinned, ctypes.c_size_t(COPY_BYTES))
        context.call("cuCtxSynchronize")
        return COPY_BYTES / (time.perf_counter() - begin) / 1e9

    return _median(measure, 0.05)


def allocate(context: driver_api.Cuda) -> float:
    """Return microseconds for an allocation of memory and its release."""

    def measure() -> float:
        begin = time.perf_counter()
        context.call("cuMemFree_v2", context.memory(ALLOCATION_BYTES))
        return (time.perf_counter() - begin) * 1e6

    return _median(measure, 0.05)


def with_torch() -> dict[str, Any]:
    """Return TFLOP/s of bf16 matrices, and microseconds of a launch."""
    import torch

    left, right = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    number = torch.zeros(1, device="cuda")

    def add() -> float:
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(LAUNCHES):
            number.add_(1)
        torch.cuda.synchronize()
        return (time.perf_counter() - begin) / LAUNCHES * 1e6

    def measure() -> float:
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(10):
            left @ right
        torch.cuda.synchronize()
        return 10 * 2 * SIDE**3 / (time.perf_counter() - begin) / 1e12

    return {
        "matmul_tflops": _median(measure, 0.7),
        "launch_torch_us": _median(add, 0.3),
    }


def with_nccl() -> dict[str, Any]:
    """Return the bus bandwidth of an all-reduce over all GPUs; the slowest one decides."""
    return {"all_reduce_gb_per_s": min(all_reduce.run("speed"))}


PARTS = {"driver": with_driver, "torch": with_torch, "nccl": with_nccl}

if __name__ == "__main__":
    main()
