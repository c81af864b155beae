"""Is the machine safe from images whose programs try to reach it?"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.build import record
from worker_images.engine import buildx
from worker_images.engine.endpoint import Endpoint
from worker_images.engine.images import CONFINED, Rights
from worker_images.files import ROOT
from worker_images.harness.plugin import SANDBOXES
from worker_images.model import pins

HERE = Path(__file__).parent / "hostile"
IMAGES = ("attempts", "endless", "killer")
# PID 1 of Docker and of Podman.
INITS = ("docker-init", "catatonit")
# What every container may do.
HARMLESS = ["open /tmp/ordinary", "no namespace", "route to itself"]
FORKS = "i=0; while [ $i -lt {number} ]; do real-sleep 30 & i=$((i+1)); done; echo all"
MEMORY = "dd if=/dev/zero of=/dev/null iflag=fullblock count=1 bs={size}M"


@pytest.fixture(scope="module")
def archives(endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Images with hostile programs in place of slim's."""
    scratch = tmp_path_factory.mktemp("hostile")
    tested = record.layout(ROOT / "out/slim/image.tar", scratch / "layout")
    context = scratch / "context"
    shutil.copytree(HERE, context)
    unshare = shutil.which("unshare")
    assert unshare
    shutil.copy(unshare, context)
    jobs = {
        name: buildx.Job(
            context / "Dockerfile",
            context,
            f"type=docker,dest={scratch / name}.tar,oci-mediatypes=true",
            int(pins.load(ROOT / "versions.yaml")[0].file_time),
            name,
            contexts={"tested": tested},
        )
        for name in IMAGES
    }
    buildx.build(endpoint, jobs, scratch / "build.log")
    return {name: scratch / f"{name}.tar" for name in IMAGES}


@pytest.fixture(scope="module")
def attempts(archives: dict[str, Path], endpoint: Endpoint) -> Iterator[str]:
    """The image that tries to reach the machine, in the engine."""
    identity = endpoint.images.load(archives["attempts"])
    yield identity
    endpoint.images.remove(identity)


def execute(endpoint: Endpoint, container: str, script: str) -> "subprocess.CompletedProcess[str]":
    command = [endpoint.docker, "exec", container, "sh", "-c", script]
    return commands.run(command, env=endpoint.environment)


def succeeded(endpoint: Endpoint, image: str, rights: Rights) -> list[str]:
    """Return the attempts that succeed in a container, after the line about its start."""
    wait = "until grep -q ^end$ /tmp/attempts; do :; done 2>/dev/null; cat /tmp/attempts"
    with endpoint.images.container(image, rights) as container:
        started, *lines, end = execute(endpoint, container, wait).stdout.splitlines()
    user = rights.user.partition(":")[0]
    assert end == "end"
    assert started in {f"started as {user}: infinity, PID 1 is {init}" for init in INITS}
    return lines


def test_program_of_an_image_cannot_reach_the_machine(attempts: str, endpoint: Endpoint) -> None:
    """PID 1 is the engine's; the image's user, entry point and health check are not used."""
    assert succeeded(endpoint, attempts, CONFINED) == HARMLESS


def test_program_in_a_container_for_sandboxes_cannot_reach_the_machine(
    attempts: str, endpoint: Endpoint
) -> None:
    """A program there can create namespaces, and is not root."""
    found = succeeded(endpoint, attempts, SANDBOXES)
    assert set(found) - {"user namespace"} == {*HARMLESS}


def test_root_without_masked_paths_opens_settings_of_the_machine(
    attempts: str, endpoint: Endpoint
) -> None:
    """The control: in a container that is not confined, the attempts succeed."""
    found = succeeded(endpoint, attempts, Rights(confined=False))
    assert "open /proc/sys/kernel/core_pattern" in found


def test_processes_of_a_container_are_limited(attempts: str, endpoint: Endpoint) -> None:
    """A control that starts fewer processes succeeds."""
    with endpoint.images.container(attempts) as container:
        assert execute(endpoint, container, FORKS.format(number=100)).stdout == "all\n"
        refused = execute(endpoint, container, FORKS.format(number=600))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Cannot fork" in refused.stderr


def test_memory_of_a_container_is_limited(attempts: str, endpoint: Endpoint) -> None:
    """A control that needs less memory succeeds."""
    with endpoint.images.container(attempts) as container:
        assert execute(endpoint, container, MEMORY.format(size=64)).returncode == 0
        assert execute(endpoint, container, MEMORY.format(size=3072)).returncode == 137


def harness(archive: Path, check: str) -> "subprocess.CompletedProcess[str]":
    """Run a check of the image layer on an image that was not built here."""
    command = [*commands.PYTEST, f"tests/image/{check}", "--variant", "slim"]
    return commands.run([*command, "--mode", "derived", "--image", str(archive)], cwd=ROOT)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("endless", "more than 16 MiB of output"),
        ("killer", "; the container has exited, exit code"),
    ],
)
def test_program_that_blocks_the_shell_fails_its_check(
    name: str, message: str, archives: dict[str, Path], endpoint: Endpoint
) -> None:
    """The run ends with this failure, and removes its container and its image."""
    result = harness(archives[name], "test_contract.py")
    assert result.returncode == 1, result.stdout
    assert message in result.stdout
    assert "a program of the image is at fault" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert "1 failed" in result.stdout
    assert "error" not in result.stdout.splitlines()[-1]
    manifest, image_id, _ = record.manifest(archives[name])
    assert not {manifest, image_id} & endpoint.images.identities()


def test_image_of_someone_else_gets_no_more_privileges(archives: dict[str, Path]) -> None:
    result = harness(archives["endless"], "test_runsc.py::test_sandbox_boots_unprivileged")
    assert result.returncode == 0, result.stdout
    assert (
        "was not built here; add --trust to run checks that need more privileges" in result.stdout
    )
