"""Rows of the doctor on engines, users, layers and proxies."""

from dataclasses import replace

import pytest

from tests.support.facts import GOOD, NO_ENGINE, row
from worker_images.build.doctor import doctor
from worker_images.build.doctor.doctor import Facts, Probe, Row


def test_rows_are_ok_on_a_good_machine() -> None:
    found = doctor.rows(GOOD)
    assert {each.subject for each in found} == {
        "engine",
        "user",
        "proxies",
        "kernel",
        "cluster",
        "gpu",
        "gvisor",
    }
    assert all(each.state == "ok" and each.found and not each.fix for each in found)


def test_row_is_a_fault_with_its_fix_when_a_probe_fails() -> None:
    probes = {
        **GOOD.probes,
        "disk": Probe(error="/out: 1.0 GB free; 6 GB needed; free some space there"),
    }
    assert row(replace(GOOD, probes=probes), "disk") == Row(
        "disk", "fault", "/out: 1.0 GB free; 6 GB needed", "free some space there"
    )


def test_missing_engine_is_ok_when_one_can_be_started() -> None:
    assert row(NO_ENGINE, "engine") == Row("engine", "ok", "none")
    assert row(NO_ENGINE, "user") == Row("user", "ok", "root; a build starts the private engine")


@pytest.mark.parametrize(
    ("facts", "found", "fix"),
    [
        (
            replace(NO_ENGINE, machine=replace(GOOD.machine, root=False)),
            "starting one needs root",
            "run the same command with sudo",
        ),
        (
            replace(NO_ENGINE, machine=replace(GOOD.machine, debian=False)),
            "needs a Debian-family machine",
            "--source upstream",
        ),
        (
            replace(NO_ENGINE, capabilities=1 << 12),
            "root without CAP_SYS_ADMIN cannot",
            "--privileged",
        ),
        (
            replace(NO_ENGINE, capabilities=0),
            "root without CAP_NET_ADMIN and CAP_SYS_ADMIN cannot",
            "DOCKER_HOST",
        ),
    ],
)
def test_user_is_a_fault_when_a_missing_engine_cannot_be_started(
    facts: Facts, found: str, fix: str
) -> None:
    shown = row(facts, "user")
    assert shown.state == "fault"
    assert found in shown.found
    assert fix in shown.fix


def test_user_is_ok_without_root_when_an_engine_runs() -> None:
    assert (
        row(replace(GOOD, machine=replace(GOOD.machine, root=False), capabilities=0), "user").state
        == "ok"
    )


def test_layers_are_a_warning_on_a_disk_without_overlays() -> None:
    """A private engine on a container's disk copies layers; other engines are not checked."""
    found = row(replace(NO_ENGINE, layers_copied_on="overlayfs"), "layers")
    assert (found.state, "would be on overlayfs" in found.found) == ("warning", True)
    assert found.fix.startswith("mount a volume: docker run --volume worker-cache:")
    assert not [
        each
        for each in (
            *doctor.rows(replace(GOOD, layers_copied_on="overlayfs")),
            *doctor.rows(NO_ENGINE),
        )
        if each.subject == "layers"
    ]


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("http://name:s3cret@proxy.example:3128", "proxy.example"),
        ("proxy.example:3128", "proxy.example"),
        ("https://proxy.example/", "proxy.example"),
        ("http://name:s3cret@[2001:db8::1]:3128", "[2001:db8::1]"),
    ],
)
def test_proxies_show_the_host_alone(address: str, host: str) -> None:
    assert row(replace(GOOD, proxies={"http_proxy": address}), "proxies") == Row(
        "proxies", "ok", f"http_proxy {host}"
    )


@pytest.mark.parametrize(
    "address",
    [
        "http://name:s3/cret@host:1",
        "http://12:34/s3cret@host",
        "http:/n:s3cret@host",
        "n:s3cret@x@host",
        "socks5://h",
    ],
)
def test_malformed_proxy_is_named_without_its_address(address: str) -> None:
    shown = row(
        replace(GOOD, proxies={"http_proxy": address, "https_proxy": "http://good.example"}),
        "proxies",
    )
    assert (shown.state, shown.found) == (
        "fault",
        "not the address of an HTTP proxy: http_proxy",
    )
    assert shown.fix.startswith("write http://USER:PASSWORD@HOST:PORT")


def test_proxies_are_ok_without_a_proxy() -> None:
    assert row(replace(GOOD, proxies={}), "proxies") == Row("proxies", "ok", "none")
