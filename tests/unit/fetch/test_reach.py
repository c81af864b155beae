"""Hosts of a build are checked before it."""

import socket

import pytest

from worker_images.build import plan, render
from worker_images.errors import FetchError
from worker_images.fetch import reach
from worker_images.files import ROOT
from worker_images.model.catalog import Catalog
from worker_images.model.pins import Pins


def test_upstream_asks_each_host_once(pins: Pins, catalog: Catalog) -> None:
    text = render.dockerfile(plan.make(pins, catalog, "slim", "upstream"), ROOT)
    assert reach.addresses(text) == (
        "https://registry-1.docker.io/v2/",
        "https://auth.docker.io/token",
        "http://deb.debian.org/debian/",
        "https://storage.googleapis.com/gvisor/releases/release/20260622.0/x86_64/runsc",
    )


def test_packages_asks_no_host(pins: Pins, catalog: Catalog) -> None:
    assert (
        reach.addresses(render.dockerfile(plan.make(pins, catalog, "slim", "packages"), ROOT)) == ()
    )


def test_a_silent_host_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "TIMEOUT_SECONDS", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        monkeypatch.setattr(reach, "addresses", lambda _: (f"https://127.0.0.1:{port}/runsc",))
        with pytest.raises(
            FetchError, match=rf"127\.0\.0\.1:{port} does not answer .*--source packages"
        ):
            reach.check("")
