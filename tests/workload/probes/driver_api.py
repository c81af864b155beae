"""CUDA with libcuda alone: no toolkit, no torch, no compiler; kernels are PTX text."""

import ctypes
from array import array
from typing import Any

KERNELS = b"""
.version 6.0
.target sm_50
.address_size 64
.visible .entry nothing() { ret; }
.visible .entry add(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n)
{
  .reg .pred %p;
  .reg .u32 %r<6>;
  .reg .u64 %d<8>;
  .reg .f32 %f<4>;
  ld.param.u64 %d0, [a];
  ld.param.u64 %d1, [b];
  ld.param.u64 %d2, [c];
  ld.param.u32 %r0, [n];
  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ntid.x;
  mov.u32 %r3, %tid.x;
  mad.lo.u32 %r4, %r1, %r2, %r3;
  setp.ge.u32 %p, %r4, %r0;
  @%p bra done;
  mul.wide.u32 %d3, %r4, 4;
  add.u64 %d4, %d0, %d3;
  add.u64 %d5, %d1, %d3;
  add.u64 %d6, %d2, %d3;
  ld.global.f32 %f0, [%d4];
  ld.global.f32 %f1, [%d5];
  add.f32 %f2, %f0, %f1;
  st.global.f32 [%d6], %f2;
done:
  ret;
}
"""
BLOCK = 256


class CudaError(Exception):
    """A call of libcuda failed; the message has the call, CUDA's error number and error name."""


class Cuda:
    """A context on a GPU, by default the first; it is the thread's current one."""

    def __init__(self, index: int = 0) -> None:
        self.library = ctypes.CDLL("libcuda.so.1")
        self.call("cuInit", 0)
        self.device = self.number("cuDeviceGet", index)
        self.context = ctypes.c_void_p()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(self.context), self.device)
        self.call("cuCtxSetCurrent", self.context)
        self.module = ctypes.c_void_p()
        self.call("cuModuleLoadData", ctypes.byref(self.module), KERNELS)

    def call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401 - calls differ
        """Call a function of the library; raises CudaError."""
        if code := getattr(self.library, name)(*arguments):
            text = ctypes.c_char_p()
            self.library.cuGetErrorName(code, ctypes.byref(text))
            raise CudaError(f"{name}: {code} {(text.value or b'').decode()}")

    def number(self, name: str, *arguments: int) -> int:
        """Call a function that returns a number in its first argument."""
        value = ctypes.c_int()
        self.call(name, ctypes.byref(value), *arguments)
        return value.value

    def name(self) -> str:
        """Return the GPU's name."""
        text = ctypes.create_string_buffer(100)
        self.call("cuDeviceGetName", text, len(text), self.device)
        return text.value.decode()

    def uuid(self) -> str:
        """Return the GPU's UUID, as nvidia-smi -L prints it."""
        data = ctypes.create_string_buffer(16)
        self.call("cuDeviceGetUuid", data, self.device)
        digits = data.raw.hex()
        return "GPU-" + "-".join(
            digits[begin:end] for begin, end in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))
        )

    def kernel(self, name: str) -> ctypes.c_void_p:
        """Return a kernel of the module."""
        function = ctypes.c_void_p()
        self.call("cuModuleGetFunction", ctypes.byref(function), self.module, name.encode())
        return function

    def memory(self, size: int) -> ctypes.c_uint64:
        """Allocate memory of the GPU."""
        address = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return address

    def launch(self, kernel: ctypes.c_void_p, blocks: int, threads: int, *values: Any) -> None:  # noqa: ANN401
        """Start a kernel on the default stream."""
        pointers = (ctypes.c_void_p * len(values))(
            *(ctypes.cast(ctypes.byref(value), ctypes.c_void_p) for value in values)
        )
        self.call("cuLaunchKernel", kernel, blocks, 1, 1, threads, 1, 1, 0, None, pointers, None)


def count() -> int:
    """Return the number of GPUs, without a context on one."""
    library, value = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
    if code := library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(value)):
        raise CudaError(f"cuDeviceGetCount: {code}")
    return value.value


def added(cuda: Cuda, count: int = 50_000) -> bool:
    """Report if a kernel adds two vectors, as the CUDA sample vectorAdd with the same size."""
    left, right = array("f", range(count)), array("f", (2 * number for number in range(count)))
    size = 4 * count
    on_gpu = [cuda.memory(size) for _ in range(3)]
    for address, data in zip(on_gpu, (left, right), strict=False):
        cuda.call("cuMemcpyHtoD_v2", address, data.tobytes(), ctypes.c_size_t(size))
    cuda.launch(cuda.kernel("add"), -(-count // BLOCK), BLOCK, *on_gpu, ctypes.c_uint32(count))
    cuda.call("cuCtxSynchronize")
    result = ctypes.create_string_buffer(size)
    cuda.call("cuMemcpyDtoH_v2", result, on_gpu[2], ctypes.c_size_t(size))
    for address in on_gpu:
        cuda.call("cuMemFree_v2", address)
    return array("f", result.raw) == array("f", (3 * number for number in range(count)))
