"""Is the CUDA runtime laid out as in NVIDIA's images, found by the loader, and loadable?"""

import subprocess
import sys
from pathlib import Path

import pytest
from testinfra.host import Host

from worker_images.files import ROOT
from worker_images.harness import expect
from worker_images.harness.collection import Case
from worker_images.model.oci.image import Image

pytestmark = pytest.mark.component("cuda-runtime")

LIBRARY = "/usr/local/cuda/targets/x86_64-linux/lib/libcudart.so.12"


def test_release_is_the_pinned_tags(case: Case) -> None:
    """12.8.57 is the runtime of 12.8.0: the pins of both sources mean one release."""
    pin = case.pins.components["cuda-runtime"]
    assert pin.packages.version
    assert pin.version.split(".")[:2] == pin.packages.version.split(".")[:2]


def test_links_lead_to_it(image: Image, case: Case) -> None:
    version = case.pins.components["cuda-runtime"].packages.version
    for path in (LIBRARY, "/usr/local/cuda/lib64/libcudart.so.12"):
        entry = image.find(path)
        assert entry
        assert entry.path == f"/usr/local/cuda-12.8/targets/x86_64-linux/lib/libcudart.so.{version}"


def test_loader_finds_it(host: Host) -> None:
    assert f"libcudart.so.12 (libc6,x86-64) => {LIBRARY}" in host.check_output("ldconfig -p")


def test_every_library_of_the_cache_exists(host: Host) -> None:
    paths = [
        line.rpartition(" => ")[2]
        for line in host.check_output("ldconfig -p").splitlines()
        if " => " in line
    ]
    assert len(paths) > 20
    assert not [path for path in paths if not host.file(path).exists]


@pytest.mark.source("packages")
def test_it_loads_and_says_its_version(image: Image, tmp_path: Path) -> None:
    """In a process of its own, without a driver: the version of the runtime needs none."""
    entry = image.find(LIBRARY)
    assert entry
    # What runs here, outside of any container, is first known to be NVIDIA's.
    assert image.sha256(entry) in expect.component(ROOT, "cuda-runtime").sha256.values()
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


def test_capabilities_are_those_that_gvisor_allows(image: Image) -> None:
    variables = image.settings["Env"]
    assert isinstance(variables, list)
    found = dict(line.split("=", 1) for line in variables)
    assert set(found["NVIDIA_DRIVER_CAPABILITIES"].split(",")) <= {"compute", "utility"}
