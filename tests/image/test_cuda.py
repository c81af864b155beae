"""Is the CUDA runtime laid out as in NVIDIA's images, found by the loader, and loadable?"""

import subprocess
import sys
from pathlib import Path

import pytest
from testinfra.host import Host

from worker_images.harness import expect, loader_cache
from worker_images.harness.collection import Case
from worker_images.harness.plugin import require_host_architecture
from worker_images.model.oci.image import Image

pytestmark = pytest.mark.component("cuda-runtime")

# The folder in NVIDIA's images, and the name that ldconfig prints.
TARGETS = {"amd64": ("x86_64-linux", "x86-64"), "arm64": ("sbsa-linux", "AArch64")}


@pytest.fixture(scope="module")
def folder(case: Case) -> str:
    """The folder of libcudart below /usr/local/cuda."""
    return f"targets/{TARGETS[case.architecture][0]}/lib"


@pytest.fixture(scope="module")
def library(folder: str) -> str:
    """The path by which the loader finds libcudart."""
    return f"/usr/local/cuda/{folder}/libcudart.so.12"


def test_pins_of_both_sources_are_one_cuda_release(case: Case) -> None:
    """The pinned versions of both sources have the same major and minor version."""
    pin = case.pins.components["cuda-runtime"]
    assert pin.packages.version
    assert pin.version.split(".")[:2] == pin.packages.version.split(".")[:2]


def test_cuda_links_lead_to_the_pinned_libcudart(
    image: Image, case: Case, folder: str, library: str
) -> None:
    version = case.pins.components["cuda-runtime"].packages.version
    for path in (library, "/usr/local/cuda/lib64/libcudart.so.12"):
        entry = image.find(path)
        assert entry
        assert entry.path == f"/usr/local/cuda-12.8/{folder}/libcudart.so.{version}"


def test_loader_finds_libcudart(host: Host, case: Case, library: str) -> None:
    kind = TARGETS[case.architecture][1]
    assert f"libcudart.so.12 (libc6,{kind}) => {library}" in host.check_output("ldconfig -p")


def test_every_library_in_the_loader_cache_exists(host: Host) -> None:
    paths = [
        line.rpartition(" => ")[2]
        for line in host.check_output("ldconfig -p").splitlines()
        if " => " in line
    ]
    assert len(paths) > 20
    assert not [path for path in paths if not host.file(path).exists]


@pytest.mark.mode("built")
@pytest.mark.source("packages")
def test_loader_cache_is_that_of_the_base_and_the_library(image: Image, case: Case) -> None:
    """The cache equals one that is generated from the libraries of these two layers."""
    entry = image.find(loader_cache.PATH)
    assert entry
    found = loader_cache.read(image.read(entry), case.architecture)
    assert found == loader_cache.made(image, {0, entry.layer})
    assert len(found) > 20


@pytest.mark.source("packages")
def test_libcudart_loads_and_reports_its_version(
    image: Image, case: Case, library: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """The runtime reports 12.8 in a process without an NVIDIA driver."""
    require_host_architecture(pytestconfig)
    entry = image.find(library)
    assert entry
    # The library runs here outside a container, so its digest must be NVIDIA's.
    assert (
        image.sha256(entry)
        in expect.component(case.root, "cuda-runtime", case.architecture).sha256.values()
    )
    image.extract(entry, tmp_path / "libcudart.so.12")
    program = (
        "import ctypes, sys; n = ctypes.c_int(); s ="
        " ctypes.CDLL(sys.argv[1]).cudaRuntimeGetVersion(ctypes.byref(n)); print(s, n.value)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "libcudart.so.12")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "0 12080\n", result.stderr


def test_driver_capabilities_are_allowed_by_gvisor(image: Image) -> None:
    found = dict(line.split("=", 1) for line in image.environment)
    assert set(found["NVIDIA_DRIVER_CAPABILITIES"].split(",")) <= {"compute", "utility"}
