"""Keeps a number in the memory of each GPU, and increments it with a kernel in an endless loop.

It prints the number, which is the same on all GPUs. `managed` takes managed memory instead.
"""

import argparse
import ctypes
import struct
import time

import driver_api

# CU_MEM_ATTACH_GLOBAL of cuda.h.
GLOBAL = 1


class Counter:
    """A number in the memory of a GPU."""

    def __init__(self, index: int, *, managed: bool) -> None:
        self._cuda = driver_api.Cuda(index)
        self._kernel = self._cuda.kernel("add")
        self._number = self._managed() if managed else self._cuda.memory(4)
        self._one = self._cuda.memory(4)
        self._seen = ctypes.create_string_buffer(4)
        for address, value in ((self._number, 0), (self._one, 1)):
            data = struct.pack("f", value)
            self._cuda.call("cuMemcpyHtoD_v2", address, data, ctypes.c_size_t(4))

    def _managed(self) -> ctypes.c_uint64:
        address = ctypes.c_uint64()
        size = ctypes.c_size_t(4)
        self._cuda.call("cuMemAllocManaged", ctypes.byref(address), size, ctypes.c_uint(GLOBAL))
        return address

    def next(self) -> int:
        """Add one on the GPU, and return the number."""
        self._cuda.call("cuCtxSetCurrent", self._cuda.context)
        values = (self._number, self._one, self._number, ctypes.c_uint32(1))
        self._cuda.launch(self._kernel, 1, 1, *values)
        self._cuda.call("cuMemcpyDtoH_v2", self._seen, self._number, ctypes.c_size_t(4))
        return int(struct.unpack("f", self._seen.raw)[0])


def main() -> None:
    """Count on the first GPU, or on several."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--managed", action="store_true")
    arguments = parser.parse_args()
    counters = [Counter(index, managed=arguments.managed) for index in range(arguments.gpus)]
    while True:
        numbers = {counter.next() for counter in counters}
        print(*sorted(numbers), flush=True)
        time.sleep(0.05)


if __name__ == "__main__":
    main()
