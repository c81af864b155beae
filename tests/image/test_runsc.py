"""Is it the pinned runsc, does it know the flags of its release, does it serve the fleet, does it
boot?
"""

import hashlib
import json
import re
from pathlib import Path

import pytest
from testinfra.host import Host

from worker_images.harness import golang
from worker_images.harness.collection import Case
from worker_images.model.drivers.table import Release, order
from worker_images.model.oci import elf
from worker_images.model.oci.image import Image

pytestmark = pytest.mark.component("gvisor")

RUNSC = "/usr/local/bin/runsc"
# First release of each flag, from runsc/config/flags.go at each tag.
FLAGS = {
    "nvproxy": "20230529.0",
    "nvproxy-docker": "20230529.0",
    "nvproxy-driver-version": "20240422.0",
    "nvproxy-allowed-driver-capabilities": "20240930.0",
    "gvisor-marker-file": "20250421.0",
    "nvproxy-allow-unsupported-driver": "20260615.0",
}
MARKER_SINCE = "20250421.0"
SIDECARS_SINCE = "20260721.0"
SIDECARS = ("gvisor_sentry", "checkpointgofer", "runsc-metric-server")
BOOT = f"cd /tmp && {RUNSC} --rootless --network=none --ignore-cgroups --root=/tmp/runsc"


def test_path_finds_the_judged_one(host: Host) -> None:
    """What the other checks run by its path is what a worker runs by its name."""
    assert host.check_output("command -v runsc") == RUNSC


def test_version_line(host: Host, case: Case) -> None:
    answer = host.run(f"{RUNSC} --version")
    lines = answer.stdout.splitlines()
    assert (answer.rc, lines[:1]) == (
        0,
        [f"runsc version release-{case.reported_version('gvisor')}"],
    )
    assert re.fullmatch(r"spec: [0-9]+\.[0-9]+\.[0-9]+(-[0-9a-z.]+)?", lines[1])


def test_bytes_are_the_pinned_ones(runsc: Path, case: Case) -> None:
    """A stamp can say anything: modules must be go.sum's, a published file must have its
    SHA-512.
    """
    pin = case.pins.components["gvisor"]
    if case.source == "upstream":
        assert pin.upstream
        assert hashlib.sha512(runsc.read_bytes()).hexdigest() == pin.upstream.sha512
        return
    info = elf.build_info(runsc)
    sums, found = golang.sums("gvisor"), golang.modules(runsc, "gvisor")
    assert info.path == f"{case.modules['gvisor']}/runsc"
    assert info.go == f"go{case.pins.go.toolchain}"
    assert f"{case.modules['gvisor']} {pin.packages.version}" in found
    assert found == {name: sums.get(name) for name in found}


def test_flags_are_those_of_the_release(host: Host, release: str) -> None:
    answer = host.run(f"{RUNSC} flags")
    known = set(re.findall(r"^  -([a-z0-9-]+)", answer.stderr, re.MULTILINE))
    due = {flag for flag, since in FLAGS.items() if order(since) <= order(release)}
    assert known & set(FLAGS) == due


def test_nvproxy_flags_are_accepted(host: Host) -> None:
    assert host.run(f"{RUNSC} --nvproxy --nvproxy-driver-version=latest --version").rc == 0


def test_unknown_flag_is_refused(host: Host) -> None:
    """The control of the test above: a runsc that takes any flag would pass it."""
    answer = host.run(f"{RUNSC} --no-such-flag --version")
    assert answer.rc == 2
    assert "flag provided but not defined: -no-such-flag" in answer.stderr


def test_drivers_are_those_of_the_release(host: Host, contract: Release) -> None:
    answer = host.run(f"{RUNSC} nvproxy list-supported-drivers")
    assert answer.rc == 0
    assert sorted(answer.stdout.split()) == sorted(contract.supported)


def told(image: Image) -> tuple[list[str], dict[str, object]]:
    """What a scheduler reads of the image without running it: its label, and its file."""
    labels, entry = image.settings["Labels"], image.find("/usr/share/worker/drivers.json")
    assert isinstance(labels, dict)
    assert entry, "no /usr/share/worker/drivers.json"
    return labels.get("worker.drivers", "").split(), json.loads(image.read(entry))


def test_label_and_file_are_the_releases(image: Image, contract: Release) -> None:
    """Also where no program of the image can run."""
    label, file = told(image)
    assert tuple(label) == contract.supported
    assert file == {
        "release": contract.name,
        "supported": list(contract.supported),
        "known": list(contract.known),
    }


def test_label_and_file_say_what_runsc_serves(image: Image, host: Host) -> None:
    """Which it only knows, runsc tells nobody."""
    served = host.run(f"{RUNSC} nvproxy list-supported-drivers").stdout.split()
    label, file = told(image)
    assert label == file["supported"] == sorted(served, key=order)


def test_every_fleet_driver_is_served(host: Host, case: Case, pytestconfig: pytest.Config) -> None:
    """But those that fleet.allow_unserved names, with the reason; those of --driver too."""
    served = host.run(f"{RUNSC} nvproxy list-supported-drivers").stdout.split()
    allowed = {each.driver for each in case.pins.fleet.allow_unserved}
    fleet = [driver for driver in case.pins.fleet.drivers if driver not in allowed]
    wanted = [*fleet, *pytestconfig.getoption("driver")]
    unserved = [driver for driver in wanted if driver not in served]
    assert not unserved, f"nodes with {unserved} would see only EOF; served: {served}"


def test_machine(runsc: Path, case: Case) -> None:
    with runsc.open("rb") as file:
        assert elf.machine(file.read(64)) == elf.MACHINES[case.architecture]


def test_sidecars(image: Image, release: str, case: Case) -> None:
    """From 20260721.0 the published runsc needs its helpers beside it.

    A compiled one has them inside.
    """
    due = SIDECARS if case.source == "upstream" and order(release) >= order(SIDECARS_SINCE) else ()
    found = [name for name in SIDECARS if image.find(f"/usr/local/bin/gvisor-bin/{name}")]
    assert found == list(due)


def test_state_folder(host: Host) -> None:
    assert host.file("/run/gvisor").is_directory


@pytest.mark.usefixtures("user_namespaces")
def test_sandbox_boots_unprivileged(unprivileged: Host, release: str) -> None:
    """No root, no capability, no device: the sentry, its gofer and its platform run inside this
    very image.
    """
    assert unprivileged.run("id -u").stdout == "1000\n"
    if order(release) < order(MARKER_SINCE):
        answer = unprivileged.run(f"{BOOT} do uname -r")
        assert (answer.rc, answer.stdout) == (0, "4.19.0-gvisor\n"), answer.stderr
        return
    answer = unprivileged.run(f"{BOOT} --gvisor-marker-file do cat /proc/gvisor/kernel_is_gvisor")
    assert (answer.rc, answer.stdout) == (0, "gvisor\n"), answer.stderr


def test_the_marker_is_the_sandboxs(unprivileged: Host) -> None:
    """The control of the boot test: outside a sandbox there is no such file."""
    assert not unprivileged.file("/proc/gvisor/kernel_is_gvisor").exists
