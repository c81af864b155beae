"""Do the toolkit's four programs have the pinned version, and do they work?"""

import json
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.image.conftest import RunInContainer
from worker_images.harness import golang
from worker_images.harness.collection import Case
from worker_images.model.oci import elf
from worker_images.model.oci.image import Image

COMPONENT = "nvidia-container-toolkit"
pytestmark = pytest.mark.component(COMPONENT)

PROGRAMS = {
    "nvidia-ctk": "NVIDIA Container Toolkit CLI version",
    "nvidia-cdi-hook": "NVIDIA CDI Hook version",
    "nvidia-container-runtime": "NVIDIA Container Runtime version",
    "nvidia-container-runtime-hook": "NVIDIA Container Runtime Hook version",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_toolkit_program_reports_the_pinned_version(program: str, host: Host, case: Case) -> None:
    answer = host.run(f"/usr/bin/{program} --version")
    assert answer.rc == 0
    version = case.reported_version(COMPONENT)
    assert answer.stdout.splitlines()[0] == f"{PROGRAMS[program]} {version}"


@pytest.mark.parametrize("program", PROGRAMS)
def test_toolkit_modules_match_go_sum(
    program: str, image: Image, case: Case, tmp_path: Path
) -> None:
    entry = image.find(f"/usr/bin/{program}")
    assert entry
    image.extract(entry, tmp_path / program)
    info = elf.build_info(tmp_path / program)
    assert info.path == f"{case.modules[COMPONENT]}/cmd/{program}"
    if case.source == "packages":
        sums, found = golang.sums(case, COMPONENT), golang.modules(tmp_path / program, COMPONENT)
        assert golang.own(case, COMPONENT) in found
        assert found == {name: sums.get(name) for name in found}


def test_nvidia_runtime_finds_runc(host: Host, case: Case) -> None:
    """nvidia-container-runtime finds the image's runc."""
    assert f"runc version {case.reported_version('runc')}" in host.check_output(
        "nvidia-container-runtime --version"
    )


def test_nvidia_runtime_runs_a_container_without_a_gpu(run_in_container: RunInContainer) -> None:
    """Without a requested GPU it only starts runc."""
    assert run_in_container("nvidia-container-runtime", "echo alive").stdout == "alive\n"


def test_nvidia_runtime_fails_where_the_requested_gpu_is_missing(
    run_in_container: RunInContainer,
) -> None:
    """No CDI specification exists, so the container is not started."""
    answer = run_in_container(
        "nvidia-container-runtime", "echo alive", "NVIDIA_VISIBLE_DEVICES=all", action="create"
    )
    assert (answer.rc, answer.stdout) == (1, "")
    assert "unresolvable CDI devices" in answer.stdout + answer.stderr


def test_legacy_hook_reads_the_container_state(host: Host) -> None:
    """The hook fails because the state names a bundle that does not exist."""
    answer = host.run('echo \'{"bundle": "/none"}\' | nvidia-container-runtime-hook prestart')
    assert answer.rc == 1
    assert "could not open OCI spec: open /none/config.json" in answer.stderr


def test_cdi_hook_creates_links(unprivileged: Host, bundle: str) -> None:
    """CDI specifications call the hook to create links in a container's root."""
    unprivileged.check_output("mkdir -p %s/rootfs/opt", bundle)
    state = json.dumps({"ociVersion": "1.0.0", "id": "check", "pid": 1, "bundle": bundle})
    answer = unprivileged.run(
        "printf %%s %s | nvidia-cdi-hook create-symlinks --link libone.so.1::/opt/libone.so", state
    )
    assert answer.rc == 0, answer.stderr
    assert unprivileged.check_output("readlink %s/rootfs/opt/libone.so", bundle) == "libone.so.1"


def test_nvidia_runtime_is_in_cdi_mode(host: Host) -> None:
    assert (
        'mode = "cdi"'
        in host.file("/etc/nvidia-container-runtime/config.toml").content_string.splitlines()
    )


def test_cdi_generate_fails_without_a_driver(host: Host) -> None:
    """The cause is the missing driver library, not a missing program or a crash."""
    answer = host.run("nvidia-ctk cdi generate")
    assert answer.rc == 1
    assert answer.stdout == ""
    assert "failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND" in answer.stderr


def test_cdi_generate_resolves_every_library_link(host: Host) -> None:
    """nvidia-ctk reports every library of the loader cache that does not exist."""
    assert "Failed to resolve symlink chain" not in host.run("nvidia-ctk cdi generate").stderr
