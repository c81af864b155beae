"""The command `build.py update` with a loopback module proxy; all other hosts are unreachable."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import registries
from tests.support.registries import Registry
from worker_images.files import ROOT
from worker_images.model import pins
from worker_images.model.drivers.table import DRIVERS

DAY, GVISOR = "2026-08-20T12:00:00Z", "gvisor.dev/gvisor"
COMMIT = "v0.0.0-20260820120000-0123456789ab"
CLOSED = "http://127.0.0.1:9"
ROWS = json.loads((ROOT / DRIVERS).read_text())["releases"]
SERVED = ROWS["20260817.0"]["supported"]


@dataclass
class Update:
    """The command with one registry and its own copy of versions.yaml."""

    registry: Registry
    versions: Path
    text: str

    def environment(self, **changes: str) -> dict[str, str]:
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), CLOSED)
        settings = {"GOPROXY": self.registry.address, "no_proxy": "127.0.0.1"}
        return {**os.environ, **proxies, **settings, **changes}

    def command(self, *options: str) -> list[str]:
        return [
            sys.executable,
            str(ROOT / "build.py"),
            "update",
            "--versions",
            str(self.versions),
            *options,
        ]

    def run(self, *options: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        environment = self.environment(**changes)
        return subprocess.run(
            self.command(*options), env=environment, capture_output=True, text=True, check=False
        )

    @property
    def untouched(self) -> bool:
        return (
            self.versions.read_text() == self.text
            and len(list(self.versions.parent.iterdir())) == 1
        )


@pytest.fixture
def update(tmp_path: Path) -> Iterator[Update]:
    folder = tmp_path / "pins"
    folder.mkdir()
    with registries.serving() as registry:
        registry.module(GVISOR, {COMMIT: DAY}, registries.archive(SERVED))
        text = (ROOT / "tests/unit/golden/versions.yaml").read_text()
        (folder / "versions.yaml").write_text(text)
        yield Update(registry, folder / "versions.yaml", text)


def test_table_shows_the_offer_and_changes_nothing(update: Update) -> None:
    result = update.run()
    assert result.returncode == 0
    assert result.stdout.splitlines()[1].split()[1] == COMMIT.removeprefix("v0.0.0-")
    assert result.stdout.splitlines()[1].split()[-1] == "offered"
    assert "drivers: gains 580.173.02" in result.stdout
    assert "changes components.gvisor.version, components.gvisor.packages.version" in result.stdout
    assert result.stdout.splitlines()[-1] == "next: ./build.py update --write"
    assert result.stderr == "» querying the module proxy for gVisor commits; at most 60 s\n"
    assert update.untouched


def test_write_changes_four_pins(update: Update) -> None:
    before = update.text.splitlines()
    update.versions.chmod(0o640)
    result = update.run("--write")
    assert result.returncode == 0, result.stderr
    after = update.versions.read_text().splitlines()
    changed = [new.strip() for old, new in zip(before, after, strict=True) if old != new]
    assert [line.partition(": ")[2].strip('"')[:40] for line in changed] == [
        "20260817.0", COMMIT, "20260817.0-go.0123456789ab",
        "84936438d583ec976800f464e75a83e1515f0890",
    ]  # fmt: skip
    assert pins.load(update.versions)[0].components["gvisor"].version == "20260817.0"
    assert update.versions.stat().st_mode & 0o777 == 0o640
    assert f"wrote gvisor {COMMIT}: 4 pins in versions.yaml" in result.stdout
    again = update.run("--write")
    assert (again.returncode, again.stdout) == (
        0,
        "no newer commit of gVisor\nnothing was written: no commit is offered\n",
    )


def test_unlisted_commit_can_be_named(update: Update) -> None:
    update.registry.rows[f"/{GVISOR}/@v/list"] = b""
    assert update.run().stdout == "no newer commit of gVisor\nnext: nothing to do\n"
    assert update.run("--commit", COMMIT, "--write").returncode == 0
    assert pins.load(update.versions)[0].components["gvisor"].packages.version == COMMIT


def test_bucket_is_named_when_it_does_not_answer(update: Update) -> None:
    """20260615.0 is not in checksums.json, so its SHA-512 is in the bucket alone."""
    older = {
        "20260622.0": "20260518.0",
        "20260701204157-69c2d17aea96": "20260518063529-209a0ce076a1",
    }
    for old, new in older.items():
        update.text = update.text.replace(old, new)
    update.versions.write_text(update.text)
    commit = "v0.0.0-20260616120000-0123456789ab"
    archive = registries.archive(ROWS["20260615.0"]["supported"])
    update.registry.module(GVISOR, {commit: "2026-06-16T12:00:00Z"}, archive)
    path = "gvisor/releases/release/20260615.0/x86_64/runsc.sha512"
    bucket = f"https://storage.googleapis.com/{path}: Connection refused"
    reason = f"{bucket}, so the SHA-512 of runsc 20260615.0 is unknown"
    result = update.run()
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1].endswith("held")
    assert f"    {reason}\n" in result.stdout
    assert result.stdout.endswith("next: run again when the sources above answer\n")
    written = update.run("--write")
    assert written.returncode == 3
    assert f"gvisor {commit}: {reason}; nothing was written" in written.stderr
    assert update.untouched


def test_lost_fleet_driver_is_exit_7(update: Update) -> None:
    left = [driver for driver in SERVED if driver != "535.129.03"]
    update.registry.module(GVISOR, {COMMIT: DAY}, registries.archive(left))
    result = update.run("--write")
    assert result.returncode == 7
    assert f"gvisor {COMMIT}: loses fleet driver 535.129.03" in result.stderr
    assert "that keeps the drivers of the fleet is 20260817.0" in result.stderr
    assert "drivers: gains 580.173.02" in result.stdout
    assert update.untouched
    assert update.run().returncode == 0


def test_cool_down_is_an_option(update: Update) -> None:
    result = update.run("--cool-down", "999", "--write")
    assert result.returncode == 0
    assert "cooling down until 2029-05-15" in result.stdout
    assert update.untouched


def test_json_has_the_old_and_new_value_of_each_pin(update: Update) -> None:
    data = json.loads(update.run("--json").stdout)
    (row,) = data["proposals"]
    assert (row["verdict"], row["losses"], data["written"]) == ("offered", [], "")
    assert row["changes"][0] == {
        "pin": "components.gvisor.version",
        "old": "20260622.0",
        "new": "20260817.0",
    }
    assert len(row["changes"]) == 4
    assert json.loads(update.run("--json", "--write").stdout)["written"] == COMMIT


def test_hanging_proxy_is_exit_3(update: Update) -> None:
    update.registry.rows[f"/{GVISOR}/@v/list"] = "hang"
    result = update.run("--within", "1")
    assert (result.returncode, result.stdout) == (3, "\n" if result.stdout else "")
    assert "gvisor: no answer in 1 s; allow more time: --within SECONDS" in result.stderr
    assert update.untouched


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ("off", "gvisor: GOPROXY names no HTTP proxy"),
        (CLOSED, "/@v/list: Connection refused; check the network, proxies and GOPROXY"),
    ],
)
def test_no_module_proxy_is_exit_3(proxy: str, message: str, update: Update) -> None:
    result = update.run(GOPROXY=proxy)
    assert result.returncode == 3
    assert message in result.stderr
    assert "Traceback" not in result.stderr


WRONG = {
    "not a number": (("--cool-down", "week"), "'week' is not a number of days"),
    "not a time": (("--within", "0"), "'0' is not a number of seconds"),
    "not a commit": (("--commit", "20260817.0"), "is not a pseudo-version"),
    "older commit": (
        ("--commit", "v0.0.0-20260518063529-209a0ce076a1"),
        "not newer than the pinned v0.0.0-20260701204157-69c2d17aea96",
    ),
    "a component": (("--write", "runc"), "unrecognized arguments: runc"),
}


@pytest.mark.parametrize("name", WRONG)
def test_usage_is_exit_2(name: str, update: Update) -> None:
    options, message = WRONG[name]
    result = update.run(*options)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr
    assert update.registry.requests == []


def test_help_shows_examples_and_exit_codes(update: Update) -> None:
    result = update.run("--help")
    assert result.returncode == 0
    assert "./build.py update --write" in result.stdout
    assert "exit codes: 0 ok" in result.stdout


def test_write_is_refused_when_an_exception_becomes_unused(update: Update) -> None:
    """The new release serves 580.173.02; without the entry for it, the pins are written."""
    fleet = '  drivers: ["535.129.03", "580.159.04", "580.173.02"]\n'
    exception = '  allow_unserved: [{driver: "580.173.02", reason: "drained"}]\n'
    assert '  drivers: ["535.129.03", "580.159.04"]\n' in update.text
    without = update.text.replace('  drivers: ["535.129.03", "580.159.04"]\n', fleet)
    update.text = without.replace(fleet, fleet + exception)
    update.versions.write_text(update.text)
    result = update.run("--write")
    assert result.returncode == 2
    assert "fleet.allow_unserved[0].driver: 580.173.02 does not need an exception" in result.stderr
    assert "nothing was written; delete the entry, and run again" in result.stderr
    assert update.untouched
    update.versions.write_text(without)
    assert update.run("--write").returncode == 0
    assert pins.load(update.versions)[0].components["gvisor"].version == "20260817.0"


def test_interrupt_leaves_the_file_unchanged(update: Update) -> None:
    update.registry.rows[f"/{GVISOR}/@v/list"] = "hang"
    command = update.command("--write")
    process = subprocess.Popen(
        command, env=update.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert update.registry.hanging.wait(30)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in message
    assert update.untouched
