"""Keeps a number in the GPU's memory, and increments it with a kernel in an endless loop."""

import ctypes
import struct
import time

import driver_api

cuda = driver_api.Cuda()
kernel = cuda.kernel("add")
number, one = cuda.memory(4), cuda.memory(4)
cuda.call("cuMemcpyHtoD_v2", number, struct.pack("f", 0), ctypes.c_size_t(4))
cuda.call("cuMemcpyHtoD_v2", one, struct.pack("f", 1), ctypes.c_size_t(4))
seen = ctypes.create_string_buffer(4)
while True:
    cuda.launch(kernel, 1, 1, number, one, number, ctypes.c_uint32(1))
    cuda.call("cuMemcpyDtoH_v2", seen, number, ctypes.c_size_t(4))
    print(int(struct.unpack("f", seen.raw)[0]), flush=True)
    time.sleep(0.05)
