"""Does the kit for GPU nodes hold all that it needs, and run with nothing but a Python beside
it?
"""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from worker_images.build import kit as gpukit
from worker_images.engine.endpoint import Endpoint
from worker_images.files import ROOT
from worker_images.model import results
from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS

BARE = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


@pytest.fixture(scope="module")
def archive() -> Path:
    """The kit with slim, as ./build.py gpu-kit writes it."""
    return gpukit.kit(ROOT, "slim")


@pytest.fixture(scope="module")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit as it is on a node."""
    target = tmp_path_factory.mktemp("node")
    subprocess.run(
        ["tar", "--extract", "--gzip", "--file", archive, "--directory", target], check=True
    )
    return target / gpukit.FOLDER


def test_it_is_small_enough_to_travel(archive: Path) -> None:
    assert archive.stat().st_size <= 50e6


def test_it_is_the_same_each_time(archive: Path) -> None:
    first = archive.read_bytes()
    assert gpukit.kit(ROOT, "slim").read_bytes() == first


def test_it_says_nothing_of_who_packed_it(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        assert {
            (member.uid, member.gid, member.uname, member.gname, member.mtime) for member in tar
        } == {(0, 0, "", "", 0)}


def test_it_brings_what_older_pythons_lack(unpacked: Path) -> None:
    """pytest needs these below 3.11, which the packing machine's own Python would leave out."""
    assert {"exceptiongroup", "tomli", "pytest"} <= {
        path.name for path in (unpacked / "site").iterdir()
    }


def test_it_runs_the_layer(unpacked: Path) -> None:
    """Without a GPU: the sandbox boots with stand-ins, the rest says why it did not run."""
    found = subprocess.run(
        [unpacked / "run"], env=BARE, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert ran(unpacked / "results/workload.xml") >= 8
    assert (unpacked / "results/figures.json").exists()


def test_it_runs_in_a_container_too(endpoint: Endpoint, tmp_path: Path) -> None:
    """The same checks where the image's runsc runs in a container with the few rights that it
    needs.
    """
    command = [
        sys.executable,
        "-m",
        "worker_images.node",
        "workload",
        "--variant",
        "slim",
        "--place",
        "engine",
        "--results",
        str(tmp_path),
    ]
    environment = {**os.environ, **endpoint.environment, "WORKER_DOCKER": endpoint.docker}
    found = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert ran(tmp_path / "workload.xml") >= 8


def ran(report: Path) -> int:
    """How many checks ran."""
    run = results.read(report)
    return len(run.checks) - len(run.with_outcome(results.NOT_RUN))


def test_what_is_required_fails_where_it_cannot_run(unpacked: Path) -> None:
    found = subprocess.run(
        [unpacked / "run", "--require", "workload"],
        env=BARE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 5
    assert "required, and not run: no NVIDIA driver on this machine" in found.stdout


def test_kit_verifies_its_image(unpacked: Path) -> None:
    """The checklist's image rows by tests/workload alone: no engine, no checkout, no GPU."""
    command = ["python3", "-X", "utf8", "-m", "worker_images.node", "verify"]
    found = subprocess.run(
        [*command, "--image", "image.tar", "--driver", "580.159.04"],
        cwd=unpacked,
        env=BARE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "Yes: 5 of 5 checks passed; 17 not selected." in found.stdout


def test_the_older_runsc_serves_what_its_row_says() -> None:
    """Debian's, which nodes without the project's runsc have: its row of the table against its own
    list.
    """
    said = subprocess.run(
        [gpukit.controls(ROOT), "--version"], capture_output=True, text=True, check=True
    ).stdout
    listed = subprocess.run(
        [gpukit.controls(ROOT), "nvproxy", "list-supported-drivers"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = {each.name: each.supported for each in table.read(ROOT / DRIVERS)}
    assert "20240729.0" in said
    assert table.ordered(listed.split()) == found["20240729.0"]
    assert table.ordered(listed.split()) != found["20240916.0"]


def test_its_commands_need_nothing_else(unpacked: Path) -> None:
    command = [
        "python3",
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {str(unpacked)!r}); import worker_images.node.cli",
    ]
    found = subprocess.run(command, env=BARE, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
