"""What a build from upstream takes from its site: mirrors, and apt's settings and logins."""

from dataclasses import replace
from pathlib import Path

import pytest

from worker_images.build import plan, site
from worker_images.build.plan import Plan
from worker_images.fetch import access
from worker_images.model.lock import Lock
from worker_images.model.project import Project

MIRRORS = {
    "docker.io": "registry.example.com:8443/hub",
    "http://deb.debian.org": "https://mirror.example.com/debian",
    "https://nvidia.github.io": "https://mirror.example.com/nvidia",
}


@pytest.fixture
def full(project: Project, locked: Lock) -> Plan:
    """The variant with a repository and two images."""
    return plan.make(project, locked, "full", "upstream")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without apt, in whose home folder nothing is."""
    monkeypatch.setattr(access, "APT", tmp_path)
    access._dump.cache_clear()  # noqa: SLF001 - of the machine
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path


def test_site_without_settings_adds_nothing(full: Plan) -> None:
    assert site.contexts(full, {}) == {}
    assert site.secrets(full, {}) == {}


def test_images_come_from_the_mirror_by_the_same_digest(full: Plan) -> None:
    """Docker's own images are in library/ there."""
    found = site.contexts(full, MIRRORS)
    sources = {name.partition("@")[0]: source for name, source in found.items()}
    assert sources.keys() == {"debian:trixie-slim", "nvidia/cuda:12.8.0-base-ubuntu22.04"}
    for name, place in {"debian:trixie-slim": "library/debian:trixie-slim"}.items():
        digest = full.debian.digest
        assert sources[name] == f"docker-image://registry.example.com:8443/hub/{place}@{digest}"


def test_repositories_come_from_their_mirrors(full: Plan) -> None:
    found = site.secrets(full, MIRRORS)
    assert found.keys() == {"debian.sources", "nvidia-container-toolkit.list"}
    assert "URIs: https://mirror.example.com/debian/debian-security\n" in found["debian.sources"]
    assert found["nvidia-container-toolkit.list"] == (
        "https://mirror.example.com/nvidia/libnvidia-container/stable/deb/amd64 /"
    )


def test_mirror_of_debian_in_versions_yaml_is_used(full: Plan) -> None:
    """The indexes of a snapshot are no longer renewed."""
    snapshot = "https://snapshot.example.com/archive/debian/20260701T000000Z"
    pin = full.debian.model_copy(update={"mirror": snapshot})
    text = site.secrets(replace(full, debian=pin), {})["debian.sources"]
    assert f"URIs: {snapshot}\nSuites: trixie trixie-updates\n" in text
    assert text.count("Check-Valid-Until: no\n") == 1


def test_login_is_passed_on_for_hosts_of_the_build_only(full: Plan, alone: Path) -> None:
    (alone / "netrc").write_text(
        "machine mirror.example.com login a password b\n"
        "machine other.example.com login c password d\n"
    )
    (alone / "netrc").chmod(0o600)
    found = site.secrets(full, MIRRORS)["auth.conf"]
    lines = found.splitlines()
    assert lines
    assert all(line.startswith("machine https://mirror.example.com/") for line in lines)


def test_settings_and_logins_of_apt_are_passed_on(full: Plan, alone: Path) -> None:
    """Settings that name files of the machine are not."""
    lines = [
        'Acquire::http::Proxy "http://user:secret@proxy.example.com:3128";',
        'Acquire::https::Proxy::mirror.example.com "DIRECT";',
        'Acquire::https::CAInfo "/etc/ssl/own.pem";',
        'Dir::Etc "etc/apt";',
    ]
    (alone / "apt-config").write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    (alone / "apt-config").chmod(0o755)
    (alone / "auth.conf.d").mkdir()
    (alone / "auth.conf.d/site.conf").write_text("machine http://deb.debian.org login b password c")
    found = site.secrets(full, {})
    assert found["apt.conf"].splitlines() == lines[:2]
    place = "http://deb.debian.org"
    assert f"machine {place}/debian login b password c\n" in found["auth.conf"]


def test_source_packages_takes_nothing_from_the_site(project: Project, locked: Lock) -> None:
    own = plan.make(project, locked, "full", "packages")
    assert (site.contexts(own, MIRRORS), site.secrets(own, MIRRORS)) == ({}, {})
