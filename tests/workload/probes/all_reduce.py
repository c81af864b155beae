"""Reduces a tensor over all GPUs with NCCL, one process for each GPU, and prints results as JSON.

`sums` prints the sums that each GPU has; `speed` the bus bandwidth in gigabytes (10^9) per second.
It runs on the node and in a sandbox.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import driver_api

# Multicast over NVLink is off on both sides, because it changes state that all users of a host's
# GPUs share.
SETTINGS = {
    "NCCL_NVLS_ENABLE": "0",
    "TORCH_SYMM_MEM_DISABLE_MULTICAST": "1",
    "NVSHMEM_DISABLE_NVLS": "1",
}
TIMEOUT_SECONDS = 90
BYTES = 1 << 30
WARM_UP, REPEATS, BURST = 5, 15, 10


def main() -> None:
    """Run every rank, or with two more arguments one of them: its number and the shared file."""
    name, *rank = sys.argv[1:]
    json.dump(_rank(name, int(rank[0]), rank[1]) if rank else run(name), sys.stdout)


def run(name: str) -> list[Any]:
    """Return the value of each rank; raises CalledProcessError for one that failed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, name]
        ranks = [
            subprocess.Popen(
                [*command, str(rank), f"{folder}/store"],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **SETTINGS},
            )
            for rank in range(driver_api.count())
        ]
        try:
            outputs = [each.communicate(timeout=TIMEOUT_SECONDS)[0] for each in ranks]
        finally:
            for each in ranks:
                each.kill()
    for each in ranks:
        if each.returncode:
            raise subprocess.CalledProcessError(each.returncode, each.args)
    return [json.loads(output) for output in outputs]


def _rank(name: str, rank: int, store: str) -> Any:  # noqa: ANN401 - the parts' values differ
    import torch
    import torch.distributed

    count = torch.cuda.device_count()
    torch.cuda.set_device(rank)
    torch.distributed.init_process_group(
        "nccl",
        init_method=f"file://{store}",
        rank=rank,
        world_size=count,
        timeout=timedelta(seconds=TIMEOUT_SECONDS / 2),
    )
    try:
        return PARTS[name](rank, count)
    finally:
        torch.distributed.destroy_process_group()


def sums(rank: int, _: int) -> list[float]:
    """Return the least and the greatest number of a tensor of ones, times rank + 1, once added."""
    import torch
    import torch.distributed

    tensor = torch.full((1 << 20,), float(rank + 1), device="cuda")
    torch.distributed.all_reduce(tensor)
    return [float(tensor.min()), float(tensor.max())]


def speed(_: int, count: int) -> float:
    """Return the bus bandwidth, as NCCL's own tests define it: all links' share of the traffic."""
    import torch
    import torch.distributed

    tensor = torch.zeros(BYTES // 4, device="cuda")

    def measure() -> float:
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(BURST):
            torch.distributed.all_reduce(tensor)
        torch.cuda.synchronize()
        seconds = (time.perf_counter() - begin) / BURST
        return 2 * (count - 1) / count * BYTES / seconds / 1e9

    # Every rank calls as often as the others, so a number of calls ends the warm-up, not a time.
    for _ in range(WARM_UP):
        measure()
    return statistics.median(measure() for _ in range(REPEATS))


PARTS: dict[str, Callable[[int, int], Any]] = {"sums": sums, "speed": speed}

if __name__ == "__main__":
    main()
