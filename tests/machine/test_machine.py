"""Do builds and tests give the same results on machines with one unusual property?"""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.build import record
from worker_images.engine import buildx
from worker_images.engine.endpoint import Endpoint
from worker_images.engine.images import TEST_LABEL
from worker_images.files import ROOT
from worker_images.model import pins

ARCHIVE = ROOT / "out/slim/image.tar"
TEST = ["./build.py", "test", "image", "--variant", "slim"]
PLUGIN = "def pytest_collection_modifyitems(items):\n    del items[3:]\n"
TESTS = [*commands.PYTEST, "--variant", "slim", "--image", str(ARCHIVE)]


@pytest.fixture(autouse=True)
def needs_root() -> None:
    """Each machine is a mount namespace."""
    if os.geteuid() != 0:
        pytest.skip("not run: a mount namespace needs root")


def run(
    command: list[str], *, mounts: str = ":", environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command in its own mount namespace, after the shell command `mounts`."""
    return commands.run(
        ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh", *command],
        cwd=ROOT,
        env=os.environ | dict(environment or {}),
    )


def small_disk(folder: Path) -> str:
    """Return a shell command that mounts a file system of 1 MiB."""
    folder.mkdir()
    return f"mount -t tmpfs -o size=1m tmpfs {folder}"


def without_user_namespaces(folder: Path) -> str:
    """Return a shell command after which the kernel appears to forbid user namespaces."""
    (folder / "setting").write_text("0\n")
    return f"mount --bind {folder}/setting /proc/sys/user/max_user_namespaces"


def test_environment_does_not_change_the_results(tmp_path: Path) -> None:
    """With a plugin in PYTHONPATH, optimized Python, no UTF-8 and a small temporary folder."""
    (tmp_path / "hostile.py").write_text(PLUGIN)
    environment = {
        "PYTHONPATH": str(tmp_path),
        "PYTEST_PLUGINS": "hostile",
        "PYTHONOPTIMIZE": "1",
        "LC_ALL": "C",
        "TMPDIR": str(tmp_path / "small"),
    }
    plain = run(TEST)
    unusual = run(
        TEST,
        mounts=small_disk(tmp_path / "small"),
        environment=environment,
    )
    assert (plain.returncode, unusual.returncode) == (0, 0), unusual.stderr
    results_of_slim = [
        line
        for line in (plain.stderr + unusual.stderr).splitlines()
        if line.startswith("» slim passed ")
    ]
    assert len(results_of_slim) == 2
    assert results_of_slim[0] == results_of_slim[1]


def test_full_temporary_folder_is_a_machine_error(tmp_path: Path) -> None:
    result = run(
        [*TESTS, "tests/image/test_contract.py"],
        mounts=small_disk(tmp_path / "small"),
        environment={"TMPDIR": str(tmp_path / "small")},
    )
    assert result.returncode == 4, result.stdout
    assert f"{tmp_path}/small" in result.stdout
    assert "set TMPDIR to a folder" in result.stdout


def test_sandbox_check_is_not_run_where_the_kernel_forbids_it(tmp_path: Path) -> None:
    result = run([*TESTS, "tests/image/test_runsc.py"], mounts=without_user_namespaces(tmp_path))
    assert result.returncode == 0, result.stdout
    assert (
        "not run: user.max_user_namespaces is 0, so only root can create a sandbox on this machine"
        in result.stdout
    )


def test_required_sandbox_check_fails_where_the_kernel_forbids_it(tmp_path: Path) -> None:
    """Without the setting the same command passes."""
    command = [*TESTS, "tests/image/test_runsc.py", "--require", "image"]
    assert run(command).returncode == 0
    result = run(command, mounts=without_user_namespaces(tmp_path))
    assert result.returncode == 1
    assert (
        "FAILED tests/image/test_runsc.py::test_sandbox_boots_unprivileged"
        in result.stdout.replace("ERROR", "FAILED")
    )


def container_of(build: int, endpoint: Endpoint) -> str:
    """Return the container of a build's tests, empty before it runs.

    The label of the container ends with the process ID of the tests.
    """
    command = [endpoint.docker, "ps", "--format", f'{{{{.ID}}}} {{{{.Label "{TEST_LABEL}"}}}}']
    rows = subprocess.run(
        command, env=endpoint.environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for row in rows:
        status = Path("/proc", row.split()[-1], "stat")
        if status.exists() and status.read_text().split()[3] == str(build):
            return row.split()[0]
    return ""


@pytest.fixture
def restored_results() -> Iterator[None]:
    """Restore the results of slim, which an interrupted run removes."""
    report = ROOT / "out/slim/image.xml"
    earlier = report.read_bytes()
    yield
    report.write_bytes(earlier)


@pytest.mark.usefixtures("restored_results")
def test_killed_container_is_a_machine_error(endpoint: Endpoint) -> None:
    """The exit code is that of a machine error, not of a failed check."""
    process = subprocess.Popen(TEST, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    found, deadline = "", time.monotonic() + 60
    while not found and time.monotonic() < deadline and process.poll() is None:
        found = container_of(process.pid, endpoint)
    subprocess.run(
        [endpoint.docker, "kill", found], env=endpoint.environment, capture_output=True, check=True
    )
    errors = process.communicate()[1]
    assert process.returncode == 4, errors
    assert "testing slim: the tests could not finish" in errors
    assert "the tag is unchanged" in errors


def test_image_can_be_tested_twice_at_once(endpoint: Endpoint, tmp_path: Path) -> None:
    """Both runs load the image, and the first to end does not remove it for the other."""
    (tmp_path / "Dockerfile").write_text('FROM tested\nLABEL example="two tests at once"\n')
    archive = tmp_path / "image.tar"
    job = buildx.Job(
        dockerfile=tmp_path / "Dockerfile",
        context=tmp_path,
        output=buildx.archive(archive),
        epoch=int(pins.load(ROOT / "versions.yaml")[0].file_time),
        contexts={"tested": record.layout(ARCHIVE, tmp_path / "layout")},
    )
    buildx.build(endpoint, {"image": job}, tmp_path / "build.log")
    command = [*TESTS[:-1], str(archive), "--mode", "derived", "tests/image/test_contract.py"]
    both = [
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    output = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(output)


def test_printed_bake_file_builds_the_same_image(endpoint: Endpoint, tmp_path: Path) -> None:
    before = record.archive_stat(ARCHIVE)
    printed = run(["./build.py", "--variant", "slim", "--print", "bake"])
    assert printed.returncode == 0, printed.stderr
    file = tmp_path / "bake.json"
    file.write_text(printed.stdout)
    command = [*endpoint.buildx, "bake", "--file", str(file)]
    built = commands.run(command, cwd=ROOT, env=endpoint.environment)
    assert built.returncode == 0, built.stderr
    _, image_id, _ = record.manifest(ROOT / "out/slim/bake/slim.tar")
    assert image_id == json.loads((ROOT / "out/slim/build.json").read_text())["image_id"]
    assert record.archive_stat(ARCHIVE) == before
