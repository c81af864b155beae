"""The doctor's probes, on this machine and on small files."""

import threading
from pathlib import Path

import pytest

from tests.support import registries
from tests.support.facts import GOOD, row
from worker_images.build import jobs
from worker_images.build.doctor import survey
from worker_images.build.machine import Machine
from worker_images.engine import buildx, sdk
from worker_images.engine.daemon import Address
from worker_images.errors import EngineError, FetchError
from worker_images.fetch import apt, reach
from worker_images.files import ROOT


@pytest.mark.parametrize(
    ("layers", "copied"), [("echo native", True), ("echo overlayfs", False), ("exit 4", False)]
)
def test_layers_copied_on_runs_the_engine_script_in_an_existing_folder(
    layers: str, copied: bool, tmp_path: Path
) -> None:
    """The script runs on the nearest existing folder; no folder is created."""
    script = tmp_path / "scripts/engine"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\n[ "$*" = "layers {tmp_path}" ] || exit 2\n{layers}\n')
    script.chmod(0o755)
    assert bool(survey.layers_copied_on(tmp_path, tmp_path / "none/engine")) == copied
    assert [path.name for path in tmp_path.iterdir()] == ["scripts"]


@pytest.mark.parametrize(
    ("line", "version"),
    [
        (
            (
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32"
                " UTC 2023\nGCC version:  gcc 12.2.0\n"
            ),
            "535.129.03",
        ),
        (
            (
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release"
                " Build\nGCC version:  gcc 13.3.0\n"
            ),
            "580.159.04",
        ),
        ("GCC version:  gcc version 12.2.0 (Debian)\n", ""),
    ],
)
def test_driver_is_read_from_the_kernel_module(line: str, version: str, tmp_path: Path) -> None:
    (tmp_path / "version").write_text(line)
    assert survey.driver(str(tmp_path / "version")) == version


def test_driver_is_empty_without_the_module() -> None:
    assert survey.driver("/no/such/file") == ""


@pytest.mark.parametrize("stamp", [None, "0" * 64, "same"])
def test_environment_matches_requirements(stamp: str | None, tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / "requirements.txt").write_text("x")
    if stamp == "same":
        (tmp_path / ".venv/requirements.txt.sha256").write_text(
            "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\n"
        )
        assert survey.check_environment(tmp_path).endswith(".venv matches requirements.txt")
        return
    if stamp:
        (tmp_path / ".venv/requirements.txt.sha256").write_text(stamp)
    with pytest.raises(EngineError, match="run: make setup"):
        survey.check_environment(tmp_path)


def test_archive_keyring_is_required_for_source_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(apt, "KEYRING", tmp_path / "none.gpg")
    monkeypatch.setattr(Machine, "here", lambda: GOOD.machine)
    assert survey.check_tools("upstream") == "--source upstream: all tools are installed"
    with pytest.raises(
        EngineError, match=r"none\.gpg is missing; run: apt-get install debian-archive-keyring"
    ):
        survey.check_tools("packages")


def test_disk_reports_free_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jobs, "NEEDED_BYTES", 0)
    assert " GB free for images, " in survey.check_disk(tmp_path)
    monkeypatch.setattr(jobs, "NEEDED_BYTES", 10**18)
    with pytest.raises(
        EngineError, match=r"GB free for images, .* are needed; free some space there"
    ):
        survey.check_disk(tmp_path)


def test_dead_remote_engine_has_a_fix() -> None:
    with pytest.raises(
        EngineError,
        match=r"tcp://127\.0\.0\.1:9: .*; check that engine, or set DOCKER_HOST to another",
    ):
        sdk.describe(Address("tcp://127.0.0.1:9"))


@pytest.mark.parametrize("text", [None, "no certificate\n"])
def test_invalid_certificate_file_is_named(
    text: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(buildx, "CERTIFICATES", tmp_path / "ca.pem")
    if text:
        (tmp_path / "ca.pem").write_text(text)
    with pytest.raises(
        EngineError,
        match=(
            rf"{tmp_path}/ca\.pem: .*; run: apt-get install ca-certificates, or set SSL_CERT_FILE"
        ),
    ):
        survey.check_certificates()


def test_reachable_reports_the_host_or_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with registries.serving() as registry:
        registry.rows |= {"/list": b"", "/login": 401, "/gone": 404}
        host = registry.address.removeprefix("http://")
        for path in ("list", "login"):
            assert survey.check_reachable(f"{registry.address}/{path}", "x") == f"{host} answers"
        with pytest.raises(FetchError, match=f"http://{host}/gone: HTTP 404; .*, or name another"):
            survey.check_reachable(f"{registry.address}/gone", "name another")
    with pytest.raises(
        FetchError,
        match=r"http://127\.0\.0\.1:9/: Connection refused; check the network, proxies and CA, or"
        r" name another",
    ):
        survey.check_reachable("http://127.0.0.1:9/", "name another")


def test_probe_without_an_answer_does_not_block() -> None:
    never = threading.Event()
    assert reach.run_all({"silent": never.wait}, 0.0) == {}
    assert reach.run_all({"good": lambda: 1}, 60) == {"good": 1}
    never.set()


def test_probe_without_an_answer_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(survey, "_probes", lambda *_: {"engine": lambda: str(never.wait())})
    monkeypatch.setattr(reach, "DEADLINE_SECONDS", 0)
    assert row(survey.gather(ROOT), "engine").fix == "check the network, proxies and DOCKER_HOST"
    never.set()


@pytest.mark.parametrize("proxy", ["http:/name:s3cret@host", "http://host:s3cret"])
def test_fault_hides_the_password_of_a_malformed_proxy(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    fault = reach.fault("http://host.invalid/")
    assert "a proxy variable or the response is malformed" in fault
    assert "s3cret" not in fault
