"""Rows of the doctor for good and bad machines.

Most tests give the facts; a few probe this machine.
"""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import registries
from worker_images.build import jobs
from worker_images.build.doctor import doctor, survey
from worker_images.build.doctor.doctor import Facts, Probe, Row
from worker_images.build.machine import Machine
from worker_images.cli import main
from worker_images.engine import buildx, sdk
from worker_images.engine.daemon import Address
from worker_images.errors import EngineError, FetchError
from worker_images.fetch import apt, reach
from worker_images.files import ROOT
from worker_images.model import kernel_settings
from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS

RELEASES = table.read(ROOT / DRIVERS)
GOOD = Facts(
    probes={"engine": Probe("private unix:///engine.sock: Docker 26.1.5, containerd image store")},
    machine=Machine("x86_64", debian=True, root=True),
    capabilities=2**41 - 1,
    proxies={"https_proxy": "http://name:s3cret@proxy.example:3128"},
    kernel={name: setting.good[0] for name, setting in kernel_settings.SETTINGS.items()},
    driver="580.159.04",
    devices=("nvidia3", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"),
    release="20260622.0",
    releases=RELEASES,
)
NO_ENGINE = replace(GOOD, probes={"engine": Probe()})


def row(facts: Facts, subject: str) -> Row:
    """Return the only row of a subject."""
    (found,) = [each for each in doctor.rows(facts) if each.subject == subject]
    return found


def test_rows_are_ok_on_a_good_machine() -> None:
    found = doctor.rows(GOOD)
    assert {each.subject for each in found} == {
        "engine",
        "user",
        "proxies",
        "kernel",
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


@pytest.mark.parametrize(
    ("name", "bad", "good", "state"),
    [
        ("user.max_user_namespaces", 1, 2, "fault"),
        ("kernel.unprivileged_userns_clone", 0, 1, "fault"),
        ("kernel.apparmor_restrict_unprivileged_userns", 1, 0, "warning"),
        ("kernel.yama.ptrace_scope", 3, 2, "fault"),
        ("vm.max_map_count", 65529, 65530, "warning"),
    ],
)
def test_kernel_setting_is_reported_at_its_limit(
    name: str, bad: int, good: int, state: str
) -> None:
    assert row(replace(GOOD, kernel={name: good}), "kernel") == Row(
        "kernel", "ok", f"{name} {good}"
    )
    shown = row(replace(GOOD, kernel={**GOOD.kernel, name: bad}), "kernel")
    assert shown.state == state
    assert shown.found.startswith(f"{name} is {bad}: ")
    assert f" {name}=" in shown.fix


def test_fix_of_a_kernel_setting_is_a_good_value() -> None:
    for name, setting in kernel_settings.SETTINGS.items():
        assert int(setting.fix.format(name).split("=")[1].split()[0]) in setting.good


def test_gpu_is_ok_on_a_machine_without_one() -> None:
    found = doctor.rows(replace(GOOD, driver="", devices=()))
    assert [each for each in found if each.subject in {"gpu", "gvisor"}] == [
        Row("gpu", "ok", "no GPU on this machine: workload checks do not run")
    ]


@pytest.mark.parametrize(
    ("devices", "missing"),
    [
        (("nvidiactl", "nvidia0"), "/dev/nvidia-uvm"),
        (("nvidia-uvm", "nvidia-uvm-tools"), "/dev/nvidiactl, /dev/nvidia0"),
    ],
)
def test_gpu_is_a_warning_without_its_devices(devices: tuple[str, ...], missing: str) -> None:
    shown = row(replace(GOOD, devices=devices), "gpu")
    assert (shown.state, shown.found) == (
        "warning",
        f"NVIDIA driver 580.159.04, without {missing}",
    )
    assert shown.fix.startswith("nvidia-modprobe -u -c 0")


@pytest.mark.parametrize(
    ("driver", "state", "fix"),
    [
        ("535.129.03", "ok", ""),
        (
            "595.71.05",
            "warning",
            "install driver 590.48.01, or run runsc with --nvproxy-allow-unsupported-driver",
        ),
        (
            "580.95.05",
            "fault",
            "pin gvisor 20260420.0 in versions.yaml, or install driver 590.48.01",
        ),
        (
            "610.57.04",
            "fault",
            "pin gvisor 20260817.0 in versions.yaml, or install driver 590.48.01",
        ),
        ("470.57", "fault", "install driver 590.48.01"),
    ],
)
def test_gvisor_row_depends_on_the_driver(driver: str, state: str, fix: str) -> None:
    shown = row(replace(GOOD, driver=driver), "gvisor")
    assert (shown.state, shown.fix) == (state, fix)
    assert driver in shown.found


def test_gvisor_is_a_warning_when_drivers_json_has_no_entry() -> None:
    shown = row(replace(GOOD, release="20990101.0"), "gvisor")
    assert (shown.state, shown.fix) == (
        "warning",
        "add it to images/components/gvisor/drivers.json",
    )


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


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_fault_is_exit_4_with_the_rows_on_standard_output(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(survey, "gather", lambda _: replace(GOOD, driver="470.57"))
    assert main.main(["doctor", *options], ROOT) == 4
    output = capsys.readouterr()
    assert (
        output.err
        == "build.py: this machine is not ready: gvisor; apply the listed fixes and run again\n"
    )
    if options:
        assert json.loads(output.out)[-1]["fix"] == "install driver 590.48.01"
    else:
        assert output.out.splitlines()[-2:] == [
            "fault    gvisor        20260622.0 does not serve driver 470.57",
            "                       → install driver 590.48.01",
        ]


def test_warnings_are_exit_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(survey, "gather", lambda _: replace(GOOD, devices=()))
    assert main.main(["doctor"], ROOT) == 0
    output = capsys.readouterr()
    assert "warning  gpu" in output.out
    assert output.err == ""


def test_doctor_ends_and_shows_no_password_when_nothing_answers(tmp_path: Path) -> None:
    """Behind a dead engine and dead proxies every probe ends; no password or file is written."""
    closed = "http://name:s3cret@127.0.0.1:9"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), closed) | {
        "no_proxy": "",
        "NO_PROXY": "",
    }
    indexes = {"GOPROXY": f"{closed}/go,direct", "PIP_INDEX_URL": f"{closed}/simple/"}
    environment = {
        **os.environ,
        **proxies,
        **indexes,
        "XDG_CACHE_HOME": str(tmp_path),
        "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
    }
    command = [sys.executable, str(ROOT / "build.py"), "doctor", "--json"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    states = {each["subject"]: each["state"] for each in json.loads(result.stdout)}
    assert result.returncode == 4, result.stderr
    assert all(
        states[subject] == "fault"
        for subject in ("engine", "debian mirror", "go proxy", "python index")
    )
    assert states["proxies"] == "ok"
    assert "s3cret" not in result.stdout + result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("proxy", ["http:/name:s3cret@host", "http://host:s3cret"])
def test_fault_hides_the_password_of_a_malformed_proxy(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    fault = reach.fault("http://host.invalid/")
    assert "a proxy variable or the response is malformed" in fault
    assert "s3cret" not in fault
