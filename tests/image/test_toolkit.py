"""Are the toolkit's four programs there, of one version and of their modules, and do they start?"""

from pathlib import Path

import pytest
from testinfra.host import Host

from imagetest import elf, golang
from imagetest.image import Image
from imagetest.plugin import Case

COMPONENT = "nvidia-container-toolkit"
pytestmark = pytest.mark.component(COMPONENT)

PROGRAMS = {
    "nvidia-ctk": "NVIDIA Container Toolkit CLI version",
    "nvidia-cdi-hook": "NVIDIA CDI Hook version",
    "nvidia-container-runtime": "NVIDIA Container Runtime version",
    "nvidia-container-runtime-hook": "NVIDIA Container Runtime Hook version",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_version_line(program: str, host: Host, case: Case) -> None:
    answer = host.run(f"/usr/bin/{program} --version")
    assert answer.rc == 0
    assert answer.stdout.splitlines()[0] == f"{PROGRAMS[program]} {case.pins.components[COMPONENT].version}"


@pytest.mark.parametrize("program", PROGRAMS)
def test_modules_are_those_of_go_sum(program: str, image: Image, case: Case, tmp_path: Path) -> None:
    pin = case.pins.components[COMPONENT].packages
    entry = image.find(f"/usr/bin/{program}")
    assert entry
    image.extract(entry, tmp_path / program)
    info = elf.build_info(tmp_path / program)
    assert info.path == f"{pin.module}/cmd/{program}"
    if case.supply == "packages":
        sums, found = golang.sums(COMPONENT), golang.modules(tmp_path / program, COMPONENT)
        assert f"{pin.module} {pin.version}" in found
        assert found == {name: sums.get(name) for name in found}


def test_runtime_hands_on_to_runc(host: Host, case: Case) -> None:
    """The wrapper finds the low-level runtime that the image holds."""
    assert f"runc version {case.pins.components['runc'].version}" in host.check_output("nvidia-container-runtime --version")


def test_runtime_is_in_cdi_mode(host: Host) -> None:
    assert 'mode = "cdi"' in host.file("/etc/nvidia-container-runtime/config.toml").content_string.splitlines()


def test_without_a_gpu_no_specification_is_made(host: Host) -> None:
    """It fails for its own reason: no driver library, not a missing program or a crash."""
    answer = host.run("nvidia-ctk cdi generate")
    assert answer.rc == 1
    assert answer.stdout == ""
    assert "failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND" in answer.stderr


def test_no_library_is_missing_to_it(host: Host) -> None:
    """The toolkit walks the cache of libraries and says which of them are not there."""
    assert "Failed to resolve symlink chain" not in host.run("nvidia-ctk cdi generate").stderr
