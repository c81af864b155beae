"""Does the variant keep its promises?

They are written here by hand, so that an error in a plan cannot hide a breach. They are about all
paths that a build makes; for what users add, test_derived.py has rules.
"""

import fnmatch

import pytest

from worker_images.files import ROOT
from worker_images.harness.collection import Case, case_of
from worker_images.model.oci.image import Image

pytestmark = pytest.mark.mode("built")

FORBIDDEN_PATHS = {
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
        "*/bin/zig*",
        "*/zig/*",
        "*/bin/gcc*",
        "*/bin/cc",
        "*/cc1",
        "*/bin/ld",
        "*/bin/make",
        "*/bin/go",
        "*/go/bin/*",
        "*/bin/protoc*",
    ),
    "sources": ("*.c", "*.go", "*/go.mod", "*/usr/include/*", "*/cuda*/include/*", "/usr/src/*"),
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
FORBIDDEN_MODULES = {
    "runc": "github.com/opencontainers/runc",
    "toolkit": "github.com/NVIDIA/nvidia-container-toolkit",
}
BUILD_LEFTOVERS = ("libcuda", "compilers", "sources", "caches")
PROMISES = {"slim": ("runc", "criu", "toolkit", "cuda", *BUILD_LEFTOVERS), "full": BUILD_LEFTOVERS}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "content" in metafunc.fixturenames:
        metafunc.parametrize("content", promises(case_of(metafunc.config)))


def promises(case: Case) -> tuple[str, ...]:
    """Return what a variant must not contain; that of a project has no promise of its own."""
    return (
        PROMISES[case.variant] if case.root == ROOT else PROMISES.get(case.variant, BUILD_LEFTOVERS)
    )


def test_no_layer_contains(content: str, image: Image) -> None:
    found = [
        entry.path
        for entry in image.entries
        if any(fnmatch.fnmatchcase(entry.path, pattern) for pattern in FORBIDDEN_PATHS[content])
    ]
    assert not found


def test_go_programs_are_found(programs: dict[str, str]) -> None:
    """A control: the search for Go programs finds runsc."""
    assert "/usr/local/bin/runsc" in programs


@pytest.mark.variant("slim")
@pytest.mark.parametrize("module", FORBIDDEN_MODULES)
def test_no_program_is_built_from(module: str, programs: dict[str, str]) -> None:
    """A renamed Go program still names its module."""
    assert not [
        path for path, main in programs.items() if main.startswith(FORBIDDEN_MODULES[module])
    ]


@pytest.mark.variant("slim")
@pytest.mark.parametrize("text", ["NVIDIA_", "CUDA_"])
def test_no_environment_variable_starts_with(text: str, image: Image) -> None:
    """The text must not be in the history either."""
    variables, history = image.settings["Env"], image.config["history"]
    assert isinstance(variables, list)
    assert isinstance(history, list)
    assert history
    assert not [line for line in variables if line.startswith(text)]
    assert not [step for step in history if text in step.get("created_by", "")]
