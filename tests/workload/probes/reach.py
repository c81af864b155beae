"""Tries to reach GPUs by their minor numbers, and prints what happened as one JSON object.

It runs in a sandbox only: it makes device nodes.
"""

import errno
import json
import os
import stat
import sys
import tempfile
from collections.abc import Callable

import driver_api
import facts

FRONTEND_MAJOR = 195


def main() -> None:
    """Report the container's own GPUs, then each attempt to open one by its minor number."""
    found = {
        "devices": facts.devices(),
        "driver": facts.driver(),
        "smi": facts.smi(),
        "beyond": _beyond(),
        "opened": {minor: _attempts(int(minor)) for minor in sys.argv[1:]},
    }
    json.dump(found, sys.stdout)


def _beyond() -> str:
    """Return CUDA's error for the GPU after the last one."""
    cuda = driver_api.Cuda()
    try:
        cuda.number("cuDeviceGet", cuda.number("cuDeviceGetCount"))
    except driver_api.CudaError as error:
        return str(error)
    return ""


def _attempts(minor: int) -> list[str]:
    """Open the node in /dev, and one that the user makes; return "opened" or the error of each."""
    return [_outcome(lambda: f"/dev/nvidia{minor}"), _outcome(lambda: _made(minor))]


def _made(minor: int) -> str:
    path = f"{tempfile.mkdtemp()}/node"
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(FRONTEND_MAJOR, minor))
    return path


def _outcome(path: Callable[[], str]) -> str:
    name = path()
    try:
        os.close(os.open(name, os.O_RDWR))
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "opened"


if __name__ == "__main__":
    main()
