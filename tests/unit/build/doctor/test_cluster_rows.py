"""doctor names what a machine lacks for a Kubernetes cluster, each with its fix."""

from dataclasses import replace

import pytest

from worker_images.build.doctor import cluster
from worker_images.build.doctor.cluster import Facts
from worker_images.build.machine import Machine

ALL = (1 << 41) - 1
SOUND = Facts(Machine("x86_64", True, True), ALL, (), 10 * 10**9, 8 * 10**9, True)


def test_sound_machine_lacks_nothing() -> None:
    assert cluster.faults(SOUND) == []


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        (replace(SOUND, machine=Machine("aarch64", True, True)), "this machine is aarch64"),
        (replace(SOUND, machine=Machine("x86_64", False, True)), "no apt-get and dpkg-deb"),
        (replace(SOUND, machine=Machine("x86_64", True, False)), "starting a node needs root"),
        (replace(SOUND, capabilities=ALL & ~(1 << 21)), "root without CAP_SYS_ADMIN"),
        (replace(SOUND, missing=("nsenter",)), "missing: nsenter"),
        (replace(SOUND, disk=5 * 10**9), "has 5 GB free of 6 GB"),
        (replace(SOUND, memory=2 * 10**9), "2.0 GB of memory"),
        (replace(SOUND, cgroups=False), "/sys/fs/cgroup is read-only"),
    ],
)
def test_fault_is_named_with_its_fix(facts: Facts, fault: str) -> None:
    (found,) = cluster.faults(facts)
    what, separator, fix = found.rpartition("; ")
    assert fault in what
    assert separator
    assert fix


def test_disk_and_memory_are_needed_only_to_compile() -> None:
    small = replace(SOUND, disk=0, memory=10**9)
    assert len(cluster.faults(small)) == 2
    assert cluster.faults(small, compiled=True) == []


def test_unpacked_root_needs_no_machine_of_the_debian_family() -> None:
    """As after `cluster export`: nothing is unpacked from Debian packages."""
    other = replace(SOUND, machine=replace(SOUND.machine, debian=False))
    assert len(cluster.faults(other)) == 1
    assert cluster.faults(other, unpacked=True) == []
