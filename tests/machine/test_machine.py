"""Real builds and tests on machines that are odd in one way: the verdict on the image stays the
same.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from worker_images.build import record
from worker_images.engine import buildx
from worker_images.engine.endpoint import Endpoint
from worker_images.engine.images import TEST_LABEL
from worker_images.files import ROOT
from worker_images.model import pins

ARCHIVE = ROOT / "out/slim/image.tar"
TEST = ["./build.py", "test", "image", "--variant", "slim"]
PLUGIN = "def pytest_collection_modifyitems(items):\n    del items[3:]\n"
TESTS = [sys.executable, "-m", "pytest", "-q", "--variant", "slim", "--image", str(ARCHIVE)]


@pytest.fixture(autouse=True)
def needs_root() -> None:
    """Each machine here is a mount namespace."""
    if os.geteuid() != 0:
        pytest.skip("not run: a mount namespace needs root")


def run(
    command: list[str], *, mounts: str = ":", environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """A command in a mount namespace of its own, in which a shell line has mounted something."""
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh", *command],
        cwd=ROOT,
        env=os.environ | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )


def small_disk(folder: Path) -> str:
    """A shell line that mounts a file system of 1 MiB."""
    folder.mkdir()
    return f"mount -t tmpfs -o size=1m tmpfs {folder}"


def forbidden(folder: Path) -> str:
    """A shell line after which the kernel seems to allow no user namespaces."""
    (folder / "setting").write_text("0\n")
    return f"mount --bind {folder}/setting /proc/sys/user/max_user_namespaces"


def test_odd_environment_does_not_change_the_verdict(tmp_path: Path) -> None:
    """A plugin on PYTHONPATH, optimized Python, a locale without UTF-8 and a small folder for
    temporary files.
    """
    (tmp_path / "hostile.py").write_text(PLUGIN)
    environment = {
        "PYTHONPATH": str(tmp_path),
        "PYTEST_PLUGINS": "hostile",
        "PYTHONOPTIMIZE": "1",
        "LC_ALL": "C",
        "TMPDIR": str(tmp_path / "small"),
    }
    plain = run(TEST)
    odd = run(
        TEST,
        mounts=small_disk(tmp_path / "small"),
        environment=environment,
    )
    assert (plain.returncode, odd.returncode) == (0, 0), odd.stderr
    verdicts = [
        line
        for line in (plain.stderr + odd.stderr).splitlines()
        if line.startswith("» slim passed ")
    ]
    assert len(verdicts) == 2
    assert verdicts[0] == verdicts[1]


def test_full_temporary_folder_is_the_machines_fault(tmp_path: Path) -> None:
    result = run(
        [*TESTS, "tests/image/test_contract.py"],
        mounts=small_disk(tmp_path / "small"),
        environment={"TMPDIR": str(tmp_path / "small")},
    )
    assert result.returncode == 4, result.stdout
    assert f"{tmp_path}/small" in result.stdout
    assert "set TMPDIR to a folder" in result.stdout


def test_sandbox_that_the_kernel_forbids_is_not_run(tmp_path: Path) -> None:
    result = run([*TESTS, "tests/image/test_runsc.py"], mounts=forbidden(tmp_path))
    assert result.returncode == 0, result.stdout
    assert (
        "not run: user.max_user_namespaces is 0, so only root makes a sandbox on this machine"
        in result.stdout
    )


def test_sandbox_that_the_kernel_forbids_fails_where_required(tmp_path: Path) -> None:
    """The control of the test above, too: without the setting the same command passes."""
    command = [*TESTS, "tests/image/test_runsc.py", "--require", "image"]
    assert run(command).returncode == 0
    result = run(command, mounts=forbidden(tmp_path))
    assert result.returncode == 1
    assert (
        "FAILED tests/image/test_runsc.py::test_sandbox_boots_unprivileged"
        in result.stdout.replace("ERROR", "FAILED")
    )


def container_of(build: int, endpoint: Endpoint) -> str:
    """The container of a build's tests, by their process number, which its label ends with.

    Empty before it runs.
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
def results() -> Iterator[None]:
    """What is known of slim stays known: a run that cannot finish takes its results away."""
    report = ROOT / "out/slim/image.xml"
    earlier = report.read_bytes()
    yield
    report.write_bytes(earlier)


@pytest.mark.usefixtures("results")
def test_container_that_dies_is_the_machines_fault(endpoint: Endpoint) -> None:
    """The check that meets it fails, and says nothing about the image."""
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


def test_one_image_can_be_tested_twice_at_once(endpoint: Endpoint, tmp_path: Path) -> None:
    """One that the engine does not hold: both load it, and the first to end leaves it to the
    other.
    """
    (tmp_path / "Dockerfile").write_text('FROM tested\nLABEL example="two tests at once"\n')
    archive = tmp_path / "image.tar"
    job = buildx.Job(
        dockerfile=tmp_path / "Dockerfile",
        context=tmp_path,
        output=buildx.archive(archive),
        epoch=int(pins.load(ROOT / "versions.yaml")[0].source_date_epoch),
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


def test_printed_bake_file_builds_the_same_image_beside_the_tested_one(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    before = record.archive_stat(ARCHIVE)
    printed = run(["./build.py", "--variant", "slim", "--print", "bake"])
    assert printed.returncode == 0, printed.stderr
    file = tmp_path / "bake.json"
    file.write_text(printed.stdout)
    command = [*endpoint.buildx, "bake", "--file", str(file)]
    built = subprocess.run(
        command, cwd=ROOT, env=endpoint.environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    _, image_id, _ = record.manifest(ROOT / "out/slim/bake/slim.tar")
    assert image_id == json.loads((ROOT / "out/slim/build.json").read_text())["image_id"]
    assert record.archive_stat(ARCHIVE) == before
