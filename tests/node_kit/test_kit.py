"""Does the kit for GPU nodes contain everything that it needs, and run with Python alone?"""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support import commands, fake_worker, handover
from worker_images.build import kit as gpukit
from worker_images.build import record
from worker_images.engine.endpoint import Endpoint
from worker_images.errors import PolicyError
from worker_images.files import ROOT
from worker_images.model import results, seal
from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS
from worker_images.release import policy
from worker_images.release import results as release
from worker_images.release.results import Subject

BARE = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


@pytest.fixture(scope="module")
def archive() -> Path:
    """The kit with slim, as ./build.py gpu-kit writes it."""
    return gpukit.kit(ROOT, "slim")


@pytest.fixture(scope="module")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit, unpacked as on a node."""
    target = tmp_path_factory.mktemp("node")
    subprocess.run(
        ["tar", "--extract", "--gzip", "--file", archive, "--directory", target], check=True
    )
    return target / gpukit.FOLDER


def test_kit_is_smaller_than_50_mb(archive: Path) -> None:
    assert archive.stat().st_size <= 50e6


def test_kit_is_reproducible(archive: Path) -> None:
    first = archive.read_bytes()
    assert gpukit.kit(ROOT, "slim").read_bytes() == first


def test_kit_has_no_owner_and_no_time(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        assert {
            (member.uid, member.gid, member.uname, member.gname, member.mtime) for member in tar
        } == {(0, 0, "", "", 0)}


def test_only_the_owner_can_read_the_key(archive: Path, unpacked: Path) -> None:
    """Whoever reads the key can seal any report."""
    key, packed = archive.parent / seal.KIT_KEY, unpacked / seal.KIT_KEY
    assert packed.read_bytes() == key.read_bytes()
    assert {path.stat().st_mode & 0o777 for path in (archive, key, packed)} == {0o600}


def test_kit_contains_backports_for_python_3_10(unpacked: Path) -> None:
    """pytest needs them below Python 3.11; pip on a newer Python would not install them."""
    assert {"exceptiongroup", "tomli", "pytest"} <= {
        path.name for path in (unpacked / "site").iterdir()
    }


def test_kit_runs_the_workload_layer_without_a_gpu(unpacked: Path, tmp_path: Path) -> None:
    """A sandbox starts with stand-ins; the other checks report why they did not run."""
    folder = unpacked / "results"
    found = commands.run([unpacked / "run"], env=BARE)
    assert found.returncode == 0, found.stdout + found.stderr
    assert count_run(folder / "workload.xml") >= 8
    assert (folder / "benchmark.json").exists()
    check_release_accepts(folder, tmp_path)


def check_release_accepts(folder: Path, scratch: Path) -> None:
    """Check that a release of the image accepts the folder as the node wrote it."""
    manifest_digest, image_id, _ = record.manifest(ROOT / "out/slim/image.tar")
    named = Subject("slim", "amd64", image_id, manifest_digest, scratch / "image.xml")
    handover.Report("image", subject=named).write(scratch, ROOT)
    (tested,) = release.gather(ROOT, [named], [folder])
    workload = tested.layer("workload")
    assert workload
    assert workload.count(results.PASSED) >= 8
    policy.enforce(tested, frozenset())
    with pytest.raises(PolicyError, match="checks did not: no NVIDIA driver on this machine"):
        policy.enforce(tested, policy.required(["workload"]))


def test_workload_layer_runs_in_a_container(endpoint: Endpoint, tmp_path: Path) -> None:
    """The image's runsc runs in a container with the least rights that it needs."""
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
    found = commands.run(command, cwd=ROOT, env=environment)
    assert found.returncode == 0, found.stdout + found.stderr
    assert count_run(tmp_path / "workload.xml") >= 8


def count_run(report: Path) -> int:
    """Return the number of checks that ran."""
    run = results.read(report)
    return len(run.checks) - len(run.with_outcome(results.NOT_RUN))


def test_required_layer_fails_without_a_gpu(unpacked: Path) -> None:
    found = commands.run([unpacked / "run", "--require", "workload"], env=BARE)
    assert found.returncode == 5
    assert (
        "required by --require workload, but not run: no NVIDIA driver on this machine"
        in found.stdout
    )


def test_kit_verifies_its_image(unpacked: Path) -> None:
    """The image rows pass with tests/workload alone: no engine, no checkout, no GPU."""
    command = ["python3", "-X", "utf8", "-m", "worker_images.node", "verify"]
    found = commands.run(
        [*command, "--image", "image.tar", "--driver", "580.159.04"], cwd=unpacked, env=BARE
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "Yes: 5 of 5 checks passed; 18 not selected." in found.stdout


def test_kit_checks_a_pod(unpacked: Path, tmp_path: Path) -> None:
    """The checks of tests/pod need only Python and kubectl."""
    pod = fake_worker.make(tmp_path)
    command = ["python3", "-X", "utf8", "-m", "worker_images.node", "verify", "--context", "lab"]
    found = commands.run([*command, "--kubectl", pod.kubectl], cwd=unpacked, env=BARE)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "Yes: 8 of 8 checks passed; 15 not selected." in found.stdout


def test_older_runsc_serves_the_drivers_of_its_row() -> None:
    """Debian's runsc serves the drivers that drivers.json lists for its release."""
    version = subprocess.run(
        [gpukit.controls(ROOT), "--version"], capture_output=True, text=True, check=True
    ).stdout
    listed = subprocess.run(
        [gpukit.controls(ROOT), "nvproxy", "list-supported-drivers"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = {each.name: each.supported for each in table.read(ROOT / DRIVERS)}
    assert "20240729.0" in version
    assert table.ordered(listed.split()) == found["20240729.0"]
    assert table.ordered(listed.split()) != found["20240916.0"]


def test_commands_import_only_the_standard_library(unpacked: Path) -> None:
    command = [
        "python3",
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {str(unpacked)!r}); import worker_images.node.cli",
    ]
    found = commands.run(command, env=BARE)
    assert (found.returncode, found.stderr) == (0, "")
