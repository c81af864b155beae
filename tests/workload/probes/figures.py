"""Speed as a user's program meets it, as one JSON object: medians of several, on the node, then in
the sandbox.
"""

import ctypes
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import driver_api

REPEATS = 15
LAUNCHES = 2000
# Launches are measured in short bursts: between two of them the processor's speed changes seldom.
BURSTS, BURST = 200, 400
COPY_BYTES = 256 << 20
ALLOCATION_BYTES = 64 << 20
SIDE = 8192


def main() -> None:
    """Measure what is asked for: driver, by its library alone, or torch."""
    found = PARTS[sys.argv[1]]()
    json.dump(found, sys.stdout)


def _median(measure: Callable[[], float], warm: float) -> float:
    # Clocks rise with work: what is measured before they are up says nothing of either side.
    until = time.perf_counter() + warm
    while time.perf_counter() < until:
        measure()
    return statistics.median(measure() for _ in range(REPEATS))


def with_driver() -> dict[str, Any]:
    """A launch, a copy, an allocation."""
    context = driver_api.Cuda()
    return {
        "launch_us": launch(context),
        "copy_gb_per_s": copy(context),
        "allocate_us": allocate(context),
    }


def launch(context: driver_api.Cuda) -> list[tuple[float, float]]:
    """Microseconds a kernel that does nothing, many in a row, and beside each burst those of a call
    that only the library answers.

    The second tells how fast the processor is at that moment. Both calls are bound once, so that
    Python weighs little.
    """
    one, number = ctypes.c_uint(1), ctypes.byref(ctypes.c_int())
    kernel = (context.kernel("nothing"), *6 * (one,), ctypes.c_uint(0), None, None, None)

    def burst(function: Callable[..., int], *arguments: object, end: Callable[[], int]) -> float:
        context.call("cuCtxSynchronize")
        begun = time.perf_counter()
        for _ in range(BURST):
            function(*arguments)
        end()
        return (time.perf_counter() - begun) / BURST * 1e6

    def launches() -> float:
        return burst(context.library.cuLaunchKernel, *kernel, end=context.library.cuCtxSynchronize)

    def yardstick() -> float:
        return burst(context.library.cuDriverGetVersion, number, end=int)

    _median(launches, 0.3)
    return [(launches(), yardstick()) for _ in range(BURSTS)]


def copy(context: driver_api.Cuda) -> float:
    """10^9 bytes a second from pinned memory to the GPU."""
    pinned, target = ctypes.c_void_p(), context.memory(COPY_BYTES)
    context.call("cuMemHostAlloc", ctypes.byref(pinned), ctypes.c_size_t(COPY_BYTES), 0)

    def measure() -> float:
        begun = time.perf_counter()
        context.call("cuMemcpyHtoD_v2", target, pinned, ctypes.c_size_t(COPY_BYTES))
        context.call("cuCtxSynchronize")
        return COPY_BYTES / (time.perf_counter() - begun) / 1e9

    return _median(measure, 0.05)


def allocate(context: driver_api.Cuda) -> float:
    """Microseconds for memory to be had and given back."""

    def measure() -> float:
        begun = time.perf_counter()
        context.call("cuMemFree_v2", context.memory(ALLOCATION_BYTES))
        return (time.perf_counter() - begun) * 1e6

    return _median(measure, 0.05)


def with_torch() -> dict[str, Any]:
    """Seconds to import torch, 10^12 operations a second of a product of bf16 matrices,
    microseconds of torch's own launch.
    """
    begun = time.perf_counter()
    import torch

    imported = time.perf_counter() - begun
    left, right = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    number = torch.zeros(1, device="cuda")

    def add() -> float:
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(LAUNCHES):
            number.add_(1)
        torch.cuda.synchronize()
        return (time.perf_counter() - begun) / LAUNCHES * 1e6

    def measure() -> float:
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(10):
            left @ right
        torch.cuda.synchronize()
        return 10 * 2 * SIDE**3 / (time.perf_counter() - begun) / 1e12

    return {
        "import_s": imported,
        "matmul_tflops": _median(measure, 0.7),
        "launch_torch_us": _median(add, 0.3),
    }


PARTS = {"driver": with_driver, "torch": with_torch}

if __name__ == "__main__":
    main()
