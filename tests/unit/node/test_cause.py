"""Each known reason, from a line as it was really said; and the releases that serve a driver."""

import pytest

from worker_images.files import ROOT
from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS
from worker_images.node import cause

# As runsc and CUDA said it on a real GPU, or as runsc's source writes it where no run has shown it.
LINES = (
    (
        "unserved driver",
        "580.159.04",
        (
            "FATAL ERROR: creating loader: registering filesystems: registering nvproxy driver:"
            " unsupported Nvidia driver version: 580.159.04"
        ),
    ),
    (
        "unserved driver",
        "does not serve the node's driver 550.54.14",
        '{"msg":"unsupported Nvidia driver version: 550.54.14"}',
    ),
    (
        "wrong ABI",
        "control command 0x289:",
        "[   2:   2] nvproxy: handler is undefined for control command 0x289 (paramsSize=4)",
    ),
    (
        "wrong ABI",
        "control command 0x288:",
        "[   6:   6] nvproxy: unknown control command 0x288 (paramsSize=3076)",
    ),
    ("wrong ABI", "uvm ioctl 77 = 0x4d:", "nvproxy: handler is undefined for uvm ioctl 77 = 0x4d"),
    (
        "wrong ABI",
        "frontend ioctl 42 == 0x2a:",
        "nvproxy: handler is undefined for frontend ioctl 42 == 0x2a (argSize=4, cmd=0xc)",
    ),
    (
        "wrong ABI",
        "NV_ESC_RM_ALLOC_MEMORY class 0x00000071:",
        "nvproxy: handler is undefined for NV_ESC_RM_ALLOC_MEMORY class 0x00000071",
    ),
    (
        "wrong ABI",
        "VID_HEAP_CONTROL function 3:",
        "nvproxy: handler is undefined for VID_HEAP_CONTROL function 3",
    ),
    (
        "no container-cli",
        "nvidia-container-cli",
        (
            'failed to locate nvidia-container-cli in PATH: exec: "nvidia-container-cli":'
            " executable file not found in $PATH"
        ),
    ),
    (
        "no devices",
        ": no such file or directory",
        "cannot create sandbox: failed to open /dev/nvidiactl: no such file or directory",
    ),
    (
        "capabilities",
        "does not allow: graphics,video",
        (
            'disallowed driver capabilities requested: "graphics,video" (allowed ""), update'
            " --nvproxy-allowed-driver-capabilities"
        ),
    ),
    (
        "MIG",
        "names MIG-1c02;",
        (
            'invalid "MIG-1c02" in NVIDIA_VISIBLE_DEVICES "MIG-1c02": strconv.ParseUint: invalid'
            " syntax"
        ),
    ),
    (
        "no libcuda",
        "libcuda.so.1",
        "OSError: libcuda.so.1: cannot open shared object file: No such file or directory",
    ),
    (
        "empty libcuda",
        "empty file",
        "OSError: /usr/local/nvidia/lib64/libcuda.so.1: file too short",
    ),
    ("no GPU", "no device", '{"driver": {"error": "CudaError: cuInit: 100 CUDA_ERROR_NO_DEVICE"}}'),
    (
        "another libcuda",
        "another version",
        "CudaError: cuInit: 803 CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
    ),
    (
        "another libcuda",
        "another version",
        "Failed to initialize NVML: Driver/library version mismatch",
    ),
    (
        "forbidden",
        "namespaces",
        "cannot create gofer process: fork/exec /proc/self/exe: operation not permitted",
    ),
    (
        "wrong binary",
        "empty file",
        "creating process: failed to load /usr/local/nvidia/bin/nvidia-smi: exec format error",
    ),
)
SILENT = (
    "Config.NVProxyDriverVersion (--nvproxy-driver-version): (empty)",
    "nvproxy: unknown caching type 3",
    "I1124 Switching /dev/nvidia-uvm device major number from 238 to 254",
    "cuInit: 0 CUDA_SUCCESS in 803 ms",
)
TABLE = table.of(
    {
        "20260209.1": {"supported": ["580.1"], "known": []},
        "20260209.0": {"supported": ["570.1"], "known": ["580.1"]},
        "20260301.0": {"supported": ["580.1", "590.1"], "known": []},
    }
)


@pytest.mark.parametrize(("name", "words", "line"), LINES)
def test_a_line_is_explained(name: str, words: str, line: str) -> None:
    (found,) = cause.explain(f"before\n  {line}\nafter\n", table.read(ROOT / DRIVERS))
    assert (found.name, found.line) == (name, line)
    assert words in found.words
    assert found.step
    assert "{" not in found.words + found.step


@pytest.mark.parametrize("line", SILENT)
def test_what_is_no_reason(line: str) -> None:
    assert list(cause.explain(line, TABLE)) == []


def test_every_sign_has_a_line() -> None:
    assert {name for name, *_ in LINES} == {sign.name for sign in cause.SIGNS}


def test_a_reason_is_told_once_with_its_first_line() -> None:
    text = (
        "nvproxy: unknown control command 0x1\nnvproxy: unknown control command 0x2\nlibcuda.so.1:"
        " cannot open shared object file\n"
    )
    assert [(each.name, each.line[-3:]) for each in cause.explain(text, TABLE)] == [
        ("wrong ABI", "0x1"),
        ("no libcuda", "ile"),
    ]


@pytest.mark.parametrize(
    ("driver", "step"),
    [
        ("580.1", "from 20260209.1 on, last seen in 20260301.0"),
        ("570.1", "from 20260209.0 on, last seen in 20260209.0"),
        ("535.1", "no gVisor release up to 20260301.0 serves 535.1"),
    ],
)
def test_what_serves_a_driver(driver: str, step: str) -> None:
    assert step in cause.serving(driver, TABLE)
