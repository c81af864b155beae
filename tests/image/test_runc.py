"""Is it the pinned runc, built from its module, and does it run a container inside the image?"""

import hashlib
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.image.conftest import Contained
from worker_images.harness import golang
from worker_images.harness.collection import Case
from worker_images.model.oci import elf
from worker_images.model.oci.image import Image

pytestmark = pytest.mark.component("runc")

RUNC = "/usr/local/sbin/runc"


def test_version_line(host: Host, case: Case) -> None:
    answer = host.run(f"{RUNC} --version")
    assert answer.rc == 0
    assert answer.stdout.splitlines()[0] == f"runc version {case.pins.components['runc'].version}"


def test_seccomp_is_built_in(host: Host) -> None:
    assert "libseccomp: " in host.check_output(f"{RUNC} --version")


def test_modules_are_those_of_go_sum(image: Image, case: Case, tmp_path: Path) -> None:
    entry = image.find(RUNC)
    assert entry
    image.extract(entry, tmp_path / "runc")
    if case.source == "upstream":
        pinned = case.pins.components["runc"].upstream
        assert pinned
        assert hashlib.sha256((tmp_path / "runc").read_bytes()).hexdigest() == pinned.sha256
        return
    version = case.pins.components["runc"].packages.version
    sums, found = golang.sums("runc"), golang.modules(tmp_path / "runc", "runc")
    assert elf.build_info(tmp_path / "runc").path == case.modules["runc"]
    assert f"{case.modules['runc']} {version}" in found
    assert found == {name: sums.get(name) for name in found}


def test_it_runs_a_container(contained: Contained) -> None:
    """As a user with no name and no capability.

    The container is a world of its own: first process, own host name, own root.
    """
    answer = contained(RUNC, "cat /proc/1/comm /proc/sys/kernel/hostname; id -u; ls -d /etc")
    assert answer.stdout.splitlines() == ["sh", "runc", "0"], answer.stderr
    assert "cannot access '/etc'" in answer.stderr


def test_its_filter_of_system_calls_works(contained: Contained) -> None:
    """Built with seccomp, and used: a forbidden call fails, the kernel says that a filter is on."""
    answer = contained(RUNC, "grep ^Seccomp: /proc/self/status; mkdir /dev/forbidden && echo made")
    assert answer.stdout.split() == ["Seccomp:", "2"], answer.stderr
    assert "Operation not permitted" in answer.stderr


def test_a_containers_failure_is_its_own(contained: Contained) -> None:
    """The control of the tests above: a runtime that always says 0 would pass them."""
    assert contained(RUNC, "exit 7").rc == 7
