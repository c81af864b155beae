"""What each variant promises its users, written out by hand so that no wrong plan can hide a
breach.
"""

import fnmatch

import pytest

from worker_images.harness.collection import case_of
from worker_images.model.oci.image import Image

THINGS = {
    "runc": ("*/runc", "*/runc.*", "*/runc-*"),
    "criu": ("*/criu", "*/criu-*", "*/libcriu*", "*/crit", "*/compel"),
    "toolkit": (
        "*/nvidia-ctk*",
        "*/nvidia-cdi-hook*",
        "*/nvidia-container-*",
        "*/libnvidia-container*",
    ),
    "cuda": (
        "/usr/local/cuda*",
        "*/libcudart*",
        "*/libcublas*",
        "*/libcudnn*",
        "*/cuda-checkpoint",
        "*/nvcc",
    ),
    "libcuda": ("*/libcuda.so*", "*/libnvidia-ml.so*"),
    "compilers": (
        "*/bin/gcc*",
        "*/bin/cc",
        "*/cc1",
        "*/bin/ld",
        "*/bin/make",
        "*/bin/go",
        "*/go/bin/*",
        "*/bin/protoc*",
    ),
    "sources": ("*.go", "*/go.mod", "*/usr/include/*", "*/cuda*/include/*", "/usr/src/*"),
    "caches": (
        "*.deb",
        "*.whl",
        "/var/lib/apt/lists/*",
        "/root/go*",
        "/root/.cache*",
        "/src*",
        "/wheels*",
    ),
}
MODULES = {
    "runc": "github.com/opencontainers/runc",
    "toolkit": "github.com/NVIDIA/nvidia-container-toolkit",
}
LEFTOVERS = ("libcuda", "compilers", "sources", "caches")
PROMISED = {"slim": ("runc", "criu", "toolkit", "cuda", *LEFTOVERS), "full": LEFTOVERS}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "thing" in metafunc.fixturenames:
        metafunc.parametrize("thing", PROMISED[case_of(metafunc.config).variant])


def test_no_layer_holds(thing: str, image: Image) -> None:
    found = [
        entry.path
        for entry in image.entries
        if any(fnmatch.fnmatchcase(entry.path, pattern) for pattern in THINGS[thing])
    ]
    assert not found


def test_every_program_is_read(programs: dict[str, str]) -> None:
    """The control of the test below."""
    assert "/usr/local/bin/runsc" in programs


@pytest.mark.variant("slim")
@pytest.mark.parametrize("module", MODULES)
def test_no_program_is_of(module: str, programs: dict[str, str]) -> None:
    """A renamed binary still carries its module."""
    assert not [path for path, main in programs.items() if main.startswith(MODULES[module])]


@pytest.mark.variant("slim")
@pytest.mark.parametrize("text", ["NVIDIA_", "CUDA_"])
def test_no_variable_begins_with(text: str, image: Image) -> None:
    """Neither in the environment nor in a line that a later one undid."""
    variables, history = image.settings["Env"], image.config["history"]
    assert isinstance(variables, list)
    assert isinstance(history, list)
    assert history
    assert not [line for line in variables if line.startswith(text)]
    assert not [step for step in history if text in step.get("created_by", "")]
