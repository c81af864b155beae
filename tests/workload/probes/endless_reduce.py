"""Adds over all GPUs with NCCL in an endless loop, one process for each GPU; prints a counter."""

import os
import subprocess
import sys
import tempfile
import time

import all_reduce
import driver_api


def main() -> None:
    """Start every rank, or be one: its number, the count of all, and the shared file."""
    if len(sys.argv) > 1:
        _rank(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
        return
    count = driver_api.count()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **all_reduce.SETTINGS}
        ranks = [
            subprocess.Popen(
                [sys.executable, __file__, str(rank), str(count), f"{folder}/store"],
                env=environment,
            )
            for rank in range(count)
        ]
        for each in ranks:
            each.wait()


def _rank(rank: int, count: int, store: str) -> None:
    import torch
    import torch.distributed

    torch.cuda.set_device(rank)
    torch.distributed.init_process_group(
        "nccl", init_method=f"file://{store}", rank=rank, world_size=count
    )
    number = 0
    while True:
        tensor = torch.full((1 << 20,), float(rank + 1), device="cuda")
        torch.distributed.all_reduce(tensor)
        torch.cuda.synchronize()
        if not bool((tensor == count * (count + 1) / 2).all()):
            raise SystemExit(f"rank {rank} has a wrong sum: {tensor.unique()}")
        number += 1
        if rank == 0:
            print(number, flush=True)
        time.sleep(0.02)


if __name__ == "__main__":
    main()
