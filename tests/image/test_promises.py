"""What each variant promises its users, written out by hand so that no wrong plan can hide a breach."""

import fnmatch

import pytest

from imagetest import elf
from imagetest.image import Image
from imagetest.plugin import case_of

THINGS = {
    "runc": ("*/runc", "*/runc.*", "*/runc-*"),
    "criu": ("*/criu", "*/criu-*", "*/libcriu*", "*/crit", "*/compel"),
    "toolkit": ("*/nvidia-ctk*", "*/nvidia-cdi-hook*", "*/nvidia-container-*", "*/libnvidia-container*"),
    "cuda": ("/usr/local/cuda*", "*/libcudart*", "*/libcublas*", "*/libcudnn*", "*/cuda-checkpoint", "*/nvcc"),
    "libcuda": ("*/libcuda.so*", "*/libnvidia-ml.so*"),
}
MODULES = {"runc": "github.com/opencontainers/runc", "toolkit": "github.com/NVIDIA/nvidia-container-toolkit"}
PROMISED = {"slim": ("runc", "criu", "toolkit", "cuda", "libcuda"), "full": ("libcuda",)}
WITHOUT_NVIDIA_ENVIRONMENT = ("slim",)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    variant = case_of(metafunc.config).variant
    absent = PROMISED[variant]
    if "thing" in metafunc.fixturenames:
        metafunc.parametrize("thing", absent)
    if "module" in metafunc.fixturenames:
        metafunc.parametrize("module", [name for name in MODULES if name in absent])
    if "text" in metafunc.fixturenames:
        metafunc.parametrize("text", ["NVIDIA_", "CUDA_"] if variant in WITHOUT_NVIDIA_ENVIRONMENT else [])


def test_no_layer_holds(thing: str, image: Image) -> None:
    found = [entry.path for entry in image.entries if any(fnmatch.fnmatchcase(entry.path, pattern) for pattern in THINGS[thing])]
    assert not found


@pytest.fixture(scope="module")
def programs(image: Image, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The main package of every Go program in any layer, by path."""
    copy = tmp_path_factory.mktemp("programs") / "program"
    found = {}
    for entry in image.entries:
        if entry.kind == "file" and entry.mode & 0o111 and entry.size >= 1 << 20:
            image.extract(entry, copy)
            try:
                found[entry.path] = elf.build_info(copy).path
            except elf.ElfError:
                continue
    return found


def test_no_program_is_of(module: str, programs: dict[str, str]) -> None:
    """A renamed binary still carries its module."""
    assert programs
    assert not [path for path, main in programs.items() if main.startswith(MODULES[module])]


def test_no_variable_begins_with(text: str, image: Image) -> None:
    """Neither in the environment nor in a line that a later one undid."""
    variables, history = image.settings["Env"], image.config["history"]
    assert isinstance(variables, list)
    assert isinstance(history, list)
    assert history
    assert not [line for line in variables if line.startswith(text)]
    assert not [step for step in history if text in step.get("created_by", "")]
