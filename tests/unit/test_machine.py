"""Machines, hosts, sums and engines: what is refused before any work, each with its way out."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from worker_images.build import machine, plan, render
from worker_images.engine import builder, endpoint
from worker_images.errors import EngineError, FetchError
from worker_images.fetch import reach
from worker_images.files import ROOT
from worker_images.model import catalog, pins

HERE = machine.Machine("x86_64", debian=True, root=True)


def test_an_amd64_debian_machine_is_accepted() -> None:
    assert machine.check(HERE, "packages", "slim") is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("fault", "supply", "way_out"),
    [
        (
            replace(HERE, architecture="aarch64"),
            "packages",
            "on an amd64 machine run: ./build.py --variant slim",
        ),
        (replace(HERE, debian=False), "packages", "./build.py --variant slim --supply vendor"),
    ],
)
def test_a_machine_that_cannot_is_told_the_way_out(
    fault: machine.Machine, supply: pins.Supply, way_out: str
) -> None:
    with pytest.raises(EngineError, match=way_out):
        machine.check(fault, supply, "slim")


def test_vendor_needs_no_debian() -> None:
    assert machine.check(replace(HERE, debian=False), "vendor", "slim") is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("fault", "way_out"),
    [
        (replace(HERE, root=False), "sudo ./build.py --variant slim"),
        (replace(HERE, debian=False), "--supply vendor"),
    ],
)
def test_an_engine_that_cannot_start(fault: machine.Machine, way_out: str) -> None:
    with pytest.raises(EngineError, match=way_out):
        machine.check_engine_can_start(fault, "slim")


def test_vendor_asks_each_host_once(pinned: pins.Pins, known: catalog.Catalog) -> None:
    text = render.dockerfile(plan.make(pinned, known, "slim", "vendor"), ROOT)
    assert reach.addresses(text) == (
        "https://registry-1.docker.io/v2/",
        "https://auth.docker.io/token",
        "http://deb.debian.org/debian/",
        "https://storage.googleapis.com/gvisor/releases/release/20260622.0/x86_64/runsc",
    )


def test_packages_asks_no_host(pinned: pins.Pins, known: catalog.Catalog) -> None:
    assert (
        reach.addresses(render.dockerfile(plan.make(pinned, known, "slim", "packages"), ROOT)) == ()
    )


def test_a_silent_host_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "TIMEOUT_SECONDS", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        monkeypatch.setattr(reach, "addresses", lambda _: (f"https://127.0.0.1:{port}/runsc",))
        with pytest.raises(
            FetchError, match=rf"127\.0\.0\.1:{port}/runsc: .*timed out; .*--supply packages"
        ):
            reach.check("")


def test_a_named_engine_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(
        EngineError, match="does not answer; start that engine, or unset DOCKER_HOST"
    ):
        builder.find(endpoint.PrivateEngine(ROOT))


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=rf"{tmp_path}/out: .* GB free for images"):
        endpoint.check_space({"images": tmp_path / "out"}, 10**18)
