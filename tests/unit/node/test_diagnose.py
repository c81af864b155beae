"""Each known cause is found in a real log line; the releases that serve a driver are named."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.hostile import bounded
from tests.support.timing import LINEAR, growth
from worker_images.files import ROOT
from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS
from worker_images.node import diagnose
from worker_images.node.diagnose import BLOCK_BYTES, OVERLAP_BYTES, LogSignature

# Lines that runsc and CUDA printed on a real GPU, or that runsc's source contains.
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
        "differs from the node's driver",
        "CudaError: cuInit: 803 CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
    ),
    (
        "another libcuda",
        "differs from the node's driver",
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
UNRELATED = (
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


@pytest.mark.parametrize(("name", "message", "line"), LINES)
def test_known_line_is_explained(name: str, message: str, line: str) -> None:
    (found,) = diagnose.explain(f"before\n  {line}\nafter\n", table.read(ROOT / DRIVERS))
    assert (found.name, found.line) == (name, line)
    assert message in found.message
    assert found.step
    assert "{" not in found.message + found.step


@pytest.mark.parametrize("line", UNRELATED)
def test_unrelated_line_is_not_explained(line: str) -> None:
    assert list(diagnose.explain(line, TABLE)) == []


def test_every_signature_has_a_line() -> None:
    assert {name for name, *_ in LINES} == {signature.name for signature in diagnose.SIGNATURES}


def test_cause_is_reported_once_with_its_first_line() -> None:
    text = (
        "nvproxy: unknown control command 0x1\nnvproxy: unknown control command 0x2\nlibcuda.so.1:"
        " cannot open shared object file\n"
    )
    assert [(each.name, each.line[-3:]) for each in diagnose.explain(text, TABLE)] == [
        ("wrong ABI", "0x1"),
        ("no libcuda", "ile"),
    ]


@pytest.mark.parametrize(
    ("driver", "step"),
    [
        ("580.1", "releases 20260209.1 to 20260301.0 serve 580.1"),
        ("570.1", "releases 20260209.0 to 20260209.0 serve 570.1"),
        ("535.1", "no gVisor release up to 20260301.0 serves 535.1"),
    ],
)
def test_next_step_names_the_releases_that_serve_a_driver(driver: str, step: str) -> None:
    assert step in diagnose.serving(driver, TABLE)


@pytest.mark.parametrize("signature", diagnose.SIGNATURES, ids=lambda each: each.name)
def test_line_of_repeated_beginnings_takes_linear_time(signature: LogSignature) -> None:
    """A line that often begins as a pattern does is the slowest one to search."""
    line = next(line for name, _, line in LINES if name == signature.name)
    found = re.search(signature.pattern, line)
    assert found
    for length in (5, 7, 9, 15, 20, 29, len(found[0]) - 1):
        assert search_growth(signature.pattern, found[0][:length], 5_000) < LINEAR


def test_growth_of_a_quadratic_pattern_is_found() -> None:
    assert search_growth(r"(?:fork/exec|clone)[^\n]*(?:denied|short)", "clone", 2_000) > LINEAR


def search_growth(pattern: str, word: str, characters: int) -> float:
    """How the time of a search grows with the number of repeated words."""

    def search(count: int) -> None:
        re.search(pattern, word * count)

    return growth(search, characters // len(word), LINEAR)


def test_cause_in_a_long_line_is_found_and_its_line_cut() -> None:
    cause = "libcuda.so.1: cannot open shared object file"
    for before in (10, BLOCK_BYTES - 20, BLOCK_BYTES + OVERLAP_BYTES - 20, 2 * BLOCK_BYTES):
        log = io.BytesIO(b"a" * before + cause.encode() + b"b" * BLOCK_BYTES)
        (found,) = diagnose.explain_blocks(diagnose.blocks(log), TABLE)
        assert cause in found.line
        assert len(found.line) <= 300


def test_blocks_are_bounded_and_end_with_a_line() -> None:
    log = io.BytesIO(b"0123456789\n" * 300_000 + b"\xff\x00" * BLOCK_BYTES)
    texts = list(diagnose.blocks(log))
    assert len(texts) > 4
    assert texts[0].endswith("9\n")
    assert texts[1].startswith("0")
    assert max(map(len, texts)) <= BLOCK_BYTES + 2 * OVERLAP_BYTES


@bounded
@given(st.binary(max_size=200), st.sampled_from([line for *_, line in LINES]))
def test_any_bytes_around_a_known_line_are_read(noise: bytes, line: str) -> None:
    log = io.BytesIO(noise + b"\n" + line.encode() + b"\n" + noise)
    assert list(diagnose.explain_blocks(diagnose.blocks(log), TABLE))
