"""Is it the pinned runc, built from its module, and does it run a container?"""

import hashlib
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.image.conftest import RunInContainer
from worker_images.harness import golang
from worker_images.harness.collection import Case
from worker_images.model.oci import elf
from worker_images.model.oci.image import Image

pytestmark = pytest.mark.component("runc")

RUNC = "/usr/local/sbin/runc"


def test_runc_reports_the_pinned_version(host: Host, case: Case) -> None:
    answer = host.run(f"{RUNC} --version")
    assert answer.rc == 0
    assert answer.stdout.splitlines()[0] == f"runc version {case.reported_version('runc')}"


def test_runc_is_built_with_seccomp(host: Host) -> None:
    assert "libseccomp: " in host.check_output(f"{RUNC} --version")


def test_runc_modules_match_go_sum(image: Image, case: Case, tmp_path: Path) -> None:
    entry = image.find(RUNC)
    assert entry
    image.extract(entry, tmp_path / "runc")
    if case.source == "upstream":
        pinned = case.pins.components["runc"].upstream
        assert pinned
        assert hashlib.sha256((tmp_path / "runc").read_bytes()).hexdigest() == pinned.sha256
        return
    sums, found = golang.sums(case, "runc"), golang.modules(tmp_path / "runc", "runc")
    assert elf.build_info(tmp_path / "runc").path == case.modules["runc"]
    assert golang.own(case, "runc") in found
    assert found == {name: sums.get(name) for name in found}


def test_runc_runs_an_isolated_container(run_in_container: RunInContainer) -> None:
    """Without root or capabilities, the container has its own PID 1, host name and root."""
    answer = run_in_container(RUNC, "cat /proc/1/comm /proc/sys/kernel/hostname; id -u; ls -d /etc")
    assert answer.stdout.splitlines() == ["sh", "runc", "0"], answer.stderr
    assert "cannot access '/etc'" in answer.stderr


def test_runc_applies_a_seccomp_filter(run_in_container: RunInContainer) -> None:
    """A blocked system call fails, and the kernel reports that a filter is active."""
    answer = run_in_container(
        RUNC, "grep ^Seccomp: /proc/self/status; mkdir /dev/forbidden && echo made"
    )
    assert answer.stdout.split() == ["Seccomp:", "2"], answer.stderr
    assert "Operation not permitted" in answer.stderr


def test_runc_returns_the_exit_code_of_the_container(run_in_container: RunInContainer) -> None:
    """A control: a runtime that always returns 0 fails here."""
    assert run_in_container(RUNC, "exit 7").rc == 7
