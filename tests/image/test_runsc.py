"""Is it the pinned runsc, with the flags and drivers of its release, and does it boot?"""

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.support.runsc_checks import (  # noqa: F401 - pytest collects them here
    test_nvproxy_flags_are_accepted,
    test_runsc_drivers_match_the_release,
    test_runsc_flags_match_the_release,
    test_unknown_flag_is_refused,
)
from worker_images.files import CACHE
from worker_images.harness import golang
from worker_images.harness.collection import Case
from worker_images.harness.options import not_run
from worker_images.model.component import UpstreamFile
from worker_images.model.drivers.table import Release, full, order
from worker_images.model.oci import elf
from worker_images.model.oci.image import Image

pytestmark = pytest.mark.component("gvisor")

RUNSC = "/usr/local/bin/runsc"
MARKER_SINCE = "20250421.0"
SIDECARS_SINCE = "20260721.0"
SIDECARS = ("gvisor_sentry", "checkpointgofer", "runsc-metric-server")
BOOT = f"cd /tmp && {RUNSC} --rootless --network=none --ignore-cgroups --root=/tmp/runsc"


def test_runsc_on_path_is_the_tested_one(host: Host) -> None:
    """The command runsc runs the file that the other checks test."""
    assert host.check_output("command -v runsc") == RUNSC


def test_runsc_reports_the_pinned_version(host: Host, case: Case) -> None:
    answer = host.run(f"{RUNSC} --version")
    lines = answer.stdout.splitlines()
    assert (answer.rc, lines[:1]) == (
        0,
        [f"runsc version release-{case.reported_version('gvisor')}"],
    )
    assert re.fullmatch(r"spec: [0-9]+\.[0-9]+\.[0-9]+(-[0-9a-z.]+)?", lines[1])


def test_runsc_matches_its_pin(
    runsc: Path, image: Image, case: Case, pytestconfig: pytest.Config
) -> None:
    """Its modules match go.sum; a published runsc, or its archive, has its pinned SHA-512."""
    pin = case.pins.components["gvisor"]
    if case.source == "upstream":
        origin, digest = case.catalog.components["gvisor"].upstream, pin.upstream
        assert digest
        assert isinstance(origin, UpstreamFile)
        if origin.is_archive(pin.version):
            _check_archive(image, str(digest.sha512), pytestconfig)
        else:
            assert hashlib.sha512(runsc.read_bytes()).hexdigest() == digest.sha512
        return
    info = elf.build_info(runsc)
    sums, found = golang.sums(case, "gvisor"), golang.modules(runsc, "gvisor")
    assert info.path == f"{case.modules['gvisor']}/runsc"
    assert info.go == f"go{case.pins.go.toolchain}"
    assert golang.own(case, "gvisor") in found
    assert found == {name: sums.get(name) for name in found}


def _check_archive(image: Image, sha512: str, config: pytest.Config) -> None:
    """Check that runsc and its helper programs are those of the pinned archive."""
    archive = CACHE / f"files/sha512-{sha512}"
    if not archive.is_file():
        not_run(config, "image", f"gVisor's archive is not in the cache: {archive}")
    content = archive.read_bytes()
    assert hashlib.sha512(content).hexdigest() == sha512
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        published = {
            f"/usr/local/bin/{info.name.removeprefix('./')}": file.read()
            for info in tar
            if (file := tar.extractfile(info)) and "containerd-shim" not in info.name
        }
    found = {
        entry.path: image.read(entry)
        for entry in image.entries
        if entry.path == RUNSC or entry.path.startswith(f"{RUNSC.rpartition('/')[0]}/gvisor-bin/")
    }
    assert found == published


def published_drivers(image: Image, case: Case) -> tuple[list[str], dict[str, object]]:
    """Return the drivers in the image's label, and its drivers.json."""
    entry = image.find("/usr/share/worker/drivers.json")
    assert entry, "no /usr/share/worker/drivers.json"
    file = json.loads(image.read(entry))
    if case.mode == "derived" and not any(name.startswith("worker.") for name in image.labels):
        # The tool that made the image keeps no labels; the rule "label" refuses a part of them.
        return file["supported"], file
    return image.labels.get("worker.drivers", "").split(), file


def test_label_and_drivers_file_match_the_release(
    image: Image, contract: Release, case: Case
) -> None:
    """This check runs no program of the image, so it works for every architecture."""
    label, file = published_drivers(image, case)
    assert tuple(label) == contract.supported
    assert file == {
        "release": contract.name,
        "supported": list(contract.supported),
        "known": list(contract.known),
    }


def test_label_and_drivers_file_match_runsc(image: Image, host: Host, case: Case) -> None:
    """runsc lists the drivers that it serves, but not those that it only knows."""
    served = host.run(f"{RUNSC} nvproxy list-supported-drivers").stdout.split()
    label, file = published_drivers(image, case)
    assert label == file["supported"] == sorted(served, key=order)


def test_every_fleet_driver_is_served(host: Host, case: Case, pytestconfig: pytest.Config) -> None:
    """Drivers in fleet.allow_unserved are exempt; drivers given by --driver are included."""
    served = host.run(f"{RUNSC} nvproxy list-supported-drivers").stdout.split()
    allowed = {each.driver for each in case.pins.fleet.allow_unserved}
    fleet = [driver for driver in case.pins.fleet.drivers if driver not in allowed]
    wanted = [*fleet, *pytestconfig.getoption("driver")]
    unserved = [driver for driver in wanted if full(driver) not in served]
    assert not unserved, f"sandboxes fail on nodes with {unserved}; served: {served}"


def test_runsc_is_built_for_the_architecture(runsc: Path, case: Case) -> None:
    with runsc.open("rb") as file:
        assert elf.machine(file.read(64)) == elf.MACHINES[case.architecture]


def test_sidecars_exist_where_the_release_needs_them(
    image: Image, release: str, case: Case
) -> None:
    """The published runsc needs helper programs from release 20260721.0 on."""
    expected = (
        SIDECARS if case.source == "upstream" and order(release) >= order(SIDECARS_SINCE) else ()
    )
    found = [name for name in SIDECARS if image.find(f"/usr/local/bin/gvisor-bin/{name}")]
    assert found == list(expected)


def test_state_folder_exists(host: Host) -> None:
    assert host.file("/run/gvisor").is_directory


@pytest.mark.usefixtures("user_namespaces")
def test_sandbox_boots_unprivileged(unprivileged: Host, release: str) -> None:
    """A sandbox boots in the image without root, capabilities or devices."""
    assert unprivileged.run("id -u").stdout == "1000\n"
    if order(release) < order(MARKER_SINCE):
        answer = unprivileged.run(f"{BOOT} do uname -r")
        assert (answer.rc, answer.stdout) == (0, "4.19.0-gvisor\n"), answer.stderr
        return
    answer = unprivileged.run(f"{BOOT} --gvisor-marker-file do cat /proc/gvisor/kernel_is_gvisor")
    assert (answer.rc, answer.stdout) == (0, "gvisor\n"), answer.stderr


def test_marker_file_is_absent_outside_a_sandbox(host: Host) -> None:
    """A control: the file that the boot check reads exists only in a sandbox."""
    assert not host.file("/proc/gvisor/kernel_is_gvisor").exists
