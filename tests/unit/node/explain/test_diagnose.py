"""Each known cause is found in the examples of its data; no other line has one."""

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
from worker_images.node.explain import diagnose, log_text
from worker_images.node.explain.log_text import BLOCK_BYTES, OVERLAP_BYTES, Block
from worker_images.node.explain.signatures import SIGNATURES, LogSignature

EXAMPLES = [(each.name, line) for each in SIGNATURES for line in each.examples]
# With a container's name as containerd gives it.
NOT_RESTORED = (
    f'"cuda-checkpoint --toggle for PID 1 in container \\"{"c5" * 32}\\"" failed with exit status'
    ' 256; output: "gpu-checkpoint: cuCheckpointProcessRestore of process 1:'
    ' CUDA_ERROR_OUT_OF_MEMORY (2, out of memory): the GPU has too little free memory\\n"'
)
NO_LIBRARY = (
    '"cuda-checkpoint --toggle for PID 1 in container \\"a\\"" failed with exit status 256; output:'
    ' "gpu-checkpoint: cannot load libcuda.so.1: no such file\\n"'
)
# What the messages name of their lines.
NAMED = (
    ("unsupported Nvidia driver version: 550.54.14", "the node's driver 550.54.14"),
    ("nvproxy: unknown control command 0x288 (paramsSize=3076)", "control command 0x288:"),
    ("nvproxy: handler is undefined for uvm ioctl 77 = 0x4d", "uvm ioctl 77 = 0x4d:"),
    ("nvproxy: handler is undefined for frontend ioctl 42 == 0x2a (", "ioctl 42 == 0x2a:"),
    ("failed to open /dev/nvidiactl: no such device", ": no such device"),
    ('disallowed driver capabilities requested: "graphics,video" (', "allow: graphics,video"),
    ('invalid "MIG-1c02" in NVIDIA_VISIBLE_DEVICES "MIG-1c02"', "names MIG-1c02;"),
    ('invalid "0:1" in NVIDIA_VISIBLE_DEVICES "0:1"', "names 0:1;"),
    ('invalid "" in NVIDIA_VISIBLE_DEVICES "0,,1"', "contains '',"),
    ('failure executing hook "/usr/bin/nvidia-ctk", err', "the hook /usr/bin/nvidia-ctk failed"),
    (NOT_RESTORED, 'the output "CUDA_ERROR_OUT_OF_MEMORY (2, out of memory)";'),
    (NO_LIBRARY, 'the output "gpu-checkpoint: cannot load libcuda.so.1: no such file";'),
)
UNRELATED = (
    "Config.NVProxyDriverVersion (--nvproxy-driver-version): (empty)",
    "nvproxy: unknown caching type 3",
    "I1124 Switching /dev/nvidia-uvm device major number from 238 to 254",
    "cuInit: 0 CUDA_SUCCESS in 803 ms",
    "Config.NVProxyAllowUnsupportedDriver (--nvproxy-allow-unsupported-driver): false",
    "W1124 Skipping cgroup configuration in rootless mode",
    "W1124 cannot find cgroup controller, error ignored",
    "I1124 IMEX channels: 0",
    "nvidia-smi: 802 MiB",
    "D1121 strace.go:567] [ 1: 1] python3 X clone(0x11) = 0 errno=1 (operation not permitted)",
    'D1121 strace.go:567] [ 1: 1] python3 X write(0x1, 0x7f "libcuda.so.1: cannot open shared"',
    "python3 X rt_sigaction(SIGSYS, 0x7f, null, 0x8) = 0 (0x0)",
    "openat(0x7f /dev/nvidia-caps-imex-channels) errno=2 (no such file or directory)",
    "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.159.04",
)
TABLE = table.of(
    {
        "20260209.1": {"supported": ["580.01.00"], "known": []},
        "20260209.0": {"supported": ["570.01.00"], "known": ["580.01.00"]},
        "20260301.0": {"supported": ["580.01.00", "590.01.00"], "known": []},
    }
)


@pytest.mark.parametrize(("name", "line"), EXAMPLES)
def test_every_example_of_the_data_is_explained(name: str, line: str) -> None:
    found = diagnose.search([Block(f"before\n  {line}\nafter\n", "a.log")])
    drivers = table.read(ROOT / DRIVERS)
    causes = [*found.causes(drivers), *found.notes(drivers)]
    assert [cause.name for cause in causes] == [name]
    assert (causes[0].line in line, causes[0].place) == (True, "a.log:2")
    assert causes[0].step
    assert "{" not in causes[0].message + causes[0].step


@pytest.mark.parametrize(("line", "message"), NAMED)
def test_message_names_what_the_line_says(line: str, message: str) -> None:
    (found,) = diagnose.explain(line, TABLE)
    assert message in found.message


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda each: each.name)
def test_signature_has_a_source_and_finds_its_examples_by_needle(signature: LogSignature) -> None:
    assert signature.source
    assert signature.examples
    for line in signature.examples:
        assert re.search(signature.pattern, line)
        assert any(needle in line for needle in signature.needles)


def test_names_of_signatures_are_unique() -> None:
    names = [each.name for each in SIGNATURES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("line", UNRELATED)
def test_unrelated_line_is_not_explained(line: str) -> None:
    assert list(diagnose.explain(line, TABLE)) == []


def test_every_call_is_reported_once() -> None:
    text = (
        "nvproxy: unknown control command 0x1\nnvproxy: unknown control command 0x2\nlibcuda.so.1:"
        " cannot open shared object file\nnvproxy: unknown control command 0x1\n"
    )
    assert [(each.name, each.line[-3:]) for each in diagnose.explain(text, TABLE)] == [
        ("wrong ABI", "0x1"),
        ("wrong ABI", "0x2"),
        ("no libcuda", "ile"),
    ]


@pytest.mark.parametrize(
    ("driver", "step"),
    [
        ("580.01.00", "releases 20260209.1 to 20260301.0 serve 580.01.00"),
        ("570.01.00", "releases 20260209.0 to 20260209.0 serve 570.01.00 (dropped in 20260209.1)"),
        ("535.01.00", "no gVisor release up to 20260301.0 serves 535.01.00"),
    ],
)
def test_next_step_names_the_releases_that_serve_a_driver(driver: str, step: str) -> None:
    (found,) = diagnose.explain(f"unsupported Nvidia driver version: {driver}", TABLE)
    assert step in found.step


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda each: each.name)
def test_line_of_repeated_beginnings_takes_linear_time(signature: LogSignature) -> None:
    """A line that often begins as a pattern does is the slowest one to search."""
    for line in signature.examples:
        found = re.search(signature.pattern, line)
        assert found
        for length in sorted({5, 9, 15, 29, len(found[0]) - 1}):
            assert search_growth(signature.pattern, found[0][:length], 5_000) < LINEAR


def test_log_of_many_matches_takes_linear_time() -> None:
    line = "nvproxy: unknown control command 0x1 (paramsSize=4)\nFATAL ERROR: no\n"

    def read(count: int) -> None:
        diagnose.search([Block(line * count)])

    assert growth(read, 2_000, LINEAR) < LINEAR


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
        (found,) = diagnose.search(log_text.blocks(log)).causes(TABLE)
        assert cause in found.line
        assert len(found.line) <= 300


def test_blocks_are_bounded_and_end_with_a_line() -> None:
    log = io.BytesIO(b"0123456789\n" * 300_000 + b"\xff\x00" * BLOCK_BYTES)
    texts = [each.text for each in log_text.blocks(log)]
    assert len(texts) > 4
    assert texts[0].endswith("9\n")
    assert texts[1].startswith("0")
    assert max(map(len, texts)) <= BLOCK_BYTES + 2 * OVERLAP_BYTES


@bounded
@given(st.binary(max_size=200), st.sampled_from([line for _, line in EXAMPLES]))
def test_any_bytes_around_a_known_line_are_read(noise: bytes, line: str) -> None:
    log = io.BytesIO(noise + b"\n" + line.encode() + b"\n" + noise)
    found = diagnose.search(log_text.blocks(log))
    assert [*found.causes(TABLE), *found.notes(TABLE)]
