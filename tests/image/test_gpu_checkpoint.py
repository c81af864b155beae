"""Does gpu-checkpoint run in every container from glibc 2.17 on, and name what is missing?"""

import pytest
from testinfra.host import Host

from worker_images.harness.collection import Case
from worker_images.model.oci import elf
from worker_images.model.oci.image import Image

pytestmark = pytest.mark.component("gpu-checkpoint")

PROGRAM = "/usr/local/bin/gpu-checkpoint"
# glibc's own; the last two are part of libc.so.6 from glibc 2.34 on, which still has the names.
LIBRARIES = {"libc.so.6", "libdl.so.2", "libpthread.so.0"}
# CentOS 7 and manylinux2014 have this release.
OLDEST = (2, 17)


@pytest.fixture(scope="module")
def program(image: Image) -> bytes:
    """The bytes of the program."""
    entry = image.find(PROGRAM)
    assert entry
    return image.read(entry)


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version such as GLIBC_2.2.5."""
    name, _, numbers = version.partition("_")
    assert name == "GLIBC", version
    return tuple(map(int, numbers.split(".")))


def test_gpu_checkpoint_needs_glibc_alone(program: bytes) -> None:
    """Users' containers need no other library, and libcuda only at run time."""
    assert "libc.so.6" in elf.dynamic(program).needed
    assert set(elf.dynamic(program).needed) <= LIBRARIES


def test_gpu_checkpoint_needs_no_symbol_after_glibc_2_17(program: bytes) -> None:
    found = elf.versions(program)
    newer = [version for each in found.values() for version in each if release(version) > OLDEST]
    assert found["libc.so.6"]
    assert newer == []


def test_gpu_checkpoint_reports_the_pinned_version(host: Host, case: Case) -> None:
    version = case.pins.components["gpu-checkpoint"].version
    assert host.check_output(f"{PROGRAM} --version") == f"gpu-checkpoint {version}"


def test_gpu_checkpoint_explains_its_options(host: Host) -> None:
    text = host.check_output(f"{PROGRAM} --help")
    for option in ("--get-state", "--toggle", "--action", "--get-restore-tid", "--pid"):
        assert f"  {option} " in text or f", {option} " in text


def test_gpu_checkpoint_refuses_unknown_options(host: Host) -> None:
    answer = host.run(f"{PROGRAM} --suspend --pid 1")
    assert answer.rc == 2
    assert answer.stderr.startswith("gpu-checkpoint: unrecognized option '--suspend'\nusage: ")


@pytest.mark.mode("built")
def test_gpu_checkpoint_reports_a_missing_libcuda(host: Host) -> None:
    """The image has no libcuda: it belongs to the node's driver."""
    answer = host.run(f"{PROGRAM} --get-state --pid 1")
    assert (answer.rc, answer.stdout) == (1, "")
    assert answer.stderr.startswith(
        "gpu-checkpoint: cannot load NVIDIA's driver library (libcuda.so.1: "
    )
    assert answer.stderr.count("\n") == 1


def test_gpu_checkpoint_reports_a_missing_process(host: Host) -> None:
    answer = host.run(f"{PROGRAM} --toggle --pid 2147483647")
    assert answer.rc == 1
    assert answer.stderr == (
        "gpu-checkpoint: there is no process 2147483647 in this PID namespace\n"
    )
