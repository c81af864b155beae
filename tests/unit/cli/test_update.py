"""`build.py update` as a user types it, against loopback registries: all else is behind a proxy
that refuses.
"""

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

DAY, RUNC, TOOLKIT, GO, GVISOR = (
    "2026-08-20T12:00:00Z",
    "github.com/opencontainers/runc",
    "github.com/!n!v!i!d!i!a/nvidia-container-toolkit",
    "golang.org/toolchain",
    "gvisor.dev/gvisor",
)
COMMIT = "v0.0.0-20260820120000-0123456789ab"
CLOSED = "http://127.0.0.1:9"
SERVED = json.loads((ROOT / DRIVERS).read_text())["releases"]["20260817.0"]["supported"]


@dataclass
class Update:
    """The command over one registry, with a copy of versions.yaml of its own."""

    registry: Registry
    versions: Path
    text: str

    def environment(self, **changes: str) -> dict[str, str]:
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), CLOSED)
        own = {
            "GOPROXY": self.registry.address,
            "PIP_INDEX_URL": self.registry.address,
            "no_proxy": "127.0.0.1",
        }
        return {**os.environ, **proxies, **own, **changes}

    def command(self, *words: str) -> list[str]:
        return [
            sys.executable,
            str(ROOT / "build.py"),
            "update",
            "--versions",
            str(self.versions),
            *words,
        ]

    def run(self, *words: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        environment = self.environment(**changes)
        return subprocess.run(
            self.command(*words), env=environment, capture_output=True, text=True, check=False
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
        registry.module(RUNC, {"v1.5.3": DAY})
        registry.module(TOOLKIT, {"v1.20.2": DAY})
        registry.module(GO, {"v0.0.1-go1.26.12.linux-amd64": DAY})
        registry.module(GVISOR, {COMMIT: DAY}, registries.archive(SERVED))
        registry.project("nvidia-cuda-runtime-cu12", [])
        text = (
            (ROOT / "tests/unit/golden/versions.yaml")
            .read_text()
            .replace("http://deb.debian.org", registry.address)
        )
        (folder / "versions.yaml").write_text(text)
        yield Update(registry, folder / "versions.yaml", text)


def test_the_table_says_all_and_changes_nothing(update: Update) -> None:
    result = update.run()
    assert result.returncode == 0
    rows = {
        line.split()[0]: line.split()
        for line in result.stdout.splitlines()
        if not line.startswith(" ")
    }
    assert rows["go"][1:3] == ["1.26.11", "1.26.12"]
    assert rows["nvidia-container-toolkit"][-1] == rows["gvisor"][-1] == "offered"
    assert rows["runc"][-1] == "held"
    assert "github.com does not answer" in result.stdout
    assert "drivers: gains 580.173.02" in result.stdout
    assert "nothing newer: cuda-runtime" in result.stdout
    assert "not known: criu: 127.0.0.1 does not answer (apt-get update: E: " in result.stdout
    assert "not known: debian: auth.docker.io does not answer" in result.stdout
    assert (
        result.stdout.splitlines()[-1]
        == "next: ./build.py update --write go gvisor nvidia-container-toolkit"
    )
    assert result.stderr.startswith("» asking the sources of go, debian, gvisor")
    assert update.untouched


def test_what_is_offered_is_written_and_no_more(update: Update) -> None:
    before = update.text.splitlines()
    update.versions.chmod(0o640)
    result = update.run("--write")
    assert result.returncode == 0, result.stderr
    after = update.versions.read_text().splitlines()
    changed = [new.strip() for old, new in zip(before, after, strict=True) if old != new]
    assert [line.partition(": ")[2].strip('"')[:40] for line in changed] == [
        "1.26.12", "20260817.0", COMMIT, "20260817.0-go.0123456789ab",
        "84936438d583ec976800f464e75a83e1515f0890", "1.20.2", "v1.20.2",
    ]  # fmt: skip
    assert pins.load(update.versions)[0].components["runc"].version == "1.5.2"
    assert update.versions.stat().st_mode & 0o777 == 0o640
    assert "next: make lock, make render, make slim" in result.stdout
    again = update.run("--write")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (
        0,
        "nothing to write: nothing is offered",
    )


def test_a_commit_that_the_proxy_does_not_list_can_be_named(update: Update) -> None:
    update.registry.rows[f"/{GVISOR}/@v/list"] = b""
    assert "nothing newer: gvisor, cuda-runtime" in update.run().stdout
    assert update.run("--gvisor", COMMIT, "--write", "gvisor").returncode == 0
    assert pins.load(update.versions)[0].components["gvisor"].packages.version == COMMIT


def test_one_component_alone(update: Update) -> None:
    result = update.run("--write", "go", "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout)["written"] == ["go"]
    assert pins.load(update.versions)[0].go.toolchain == "1.26.12"
    assert pins.load(update.versions)[0].components["nvidia-container-toolkit"].version == "1.20.1"


def test_what_is_held_is_not_written(update: Update) -> None:
    result = update.run("--write", "runc")
    assert (result.returncode, result.stdout.splitlines()[-1]) == (
        0,
        "nothing to write: nothing is offered",
    )
    assert update.untouched


def test_a_lost_fleet_driver_is_exit_7(update: Update) -> None:
    update.registry.module(
        GVISOR,
        {COMMIT: DAY},
        registries.archive([driver for driver in SERVED if driver != "535.129.03"]),
    )
    for words in (("--write",), ("--write", "gvisor")):
        result = update.run(*words)
        assert result.returncode == 7
        assert f"gvisor {COMMIT}: loses fleet driver 535.129.03" in result.stderr
        assert "that keeps what the fleet has is 20260817.0" in result.stderr
        assert "drivers: gains 580.173.02" in result.stdout
        assert update.untouched
    assert update.run().returncode == 0
    assert update.run("--write", "go").returncode == 0


def test_the_cool_down_is_the_readers(update: Update) -> None:
    result = update.run("--cool-down", "999", "--write")
    assert result.returncode == 0
    assert "too young" in result.stdout
    assert "ripe on 2029-05-15" in result.stdout
    assert update.untouched


def test_json_is_whole(update: Update) -> None:
    data = json.loads(update.run("--json").stdout)
    rows = {row["component"]: row for row in data["proposals"]}
    assert rows["nvidia-container-toolkit"]["changes"] == [
        {"pin": "components.nvidia-container-toolkit.version", "old": "1.20.1", "new": "1.20.2"},
        {
            "pin": "components.nvidia-container-toolkit.packages.version",
            "old": "v1.20.1",
            "new": "v1.20.2",
        },
    ]
    assert (rows["runc"]["verdict"], rows["gvisor"]["losses"], data["written"]) == ("held", [], [])
    assert data["unanswered"]["debian"].startswith("auth.docker.io does not answer")


def test_one_source_that_hangs_does_not_hold_the_others(update: Update) -> None:
    update.registry.rows[f"/{TOOLKIT}/@v/list"] = "hang"
    result = update.run("--within", "2")
    assert result.returncode == 0
    assert "not known: nvidia-container-toolkit: no answer in 2 s" in result.stdout
    assert "next: ./build.py update --write go gvisor\n" in result.stdout
    named = update.run("--within", "2", "--write", "nvidia-container-toolkit")
    assert named.returncode == 3
    assert "nvidia-container-toolkit: no answer in 2 s" in named.stderr
    assert update.untouched


def test_no_source_at_all_is_exit_3(update: Update) -> None:
    result = update.run(GOPROXY="off", PIP_INDEX_URL=CLOSED)
    assert result.returncode == 3
    assert "no source answers: GOPROXY names no proxy" in result.stderr
    assert "Traceback" not in result.stderr


WRONG = {
    "unknown component": (("--write", "rnc"), "no such component; there are: go, debian, gvisor"),
    "no number": (("--cool-down", "week"), "'week' is no number of days"),
    "no time": (("--within", "0"), "'0' is no number of seconds"),
    "no commit": (("--gvisor", "20260817.0"), "is no pseudo-version"),
    "older commit": (
        ("--gvisor", "v0.0.0-20260518063529-209a0ce076a1"),
        "not newer than v0.0.0-20260701204157-69c2d17aea96",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_usage_is_exit_2(name: str, update: Update) -> None:
    words, said = WRONG[name]
    result = update.run(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr
    assert update.registry.asked == []


def test_help_shows_examples_and_exit_codes(update: Update) -> None:
    result = update.run("--help")
    assert result.returncode == 0
    assert "./build.py update --write runc go" in result.stdout
    assert "exit codes: 0 ok" in result.stdout


def test_what_pins_would_refuse_is_not_put_in_place(update: Update) -> None:
    update.registry.module(GO, {"v0.0.1-go1.26.100.linux-amd64": DAY})
    result = update.run("--write")
    assert result.returncode == 2
    assert "go.toolchain: '1.26.100' is not allowed" in result.stderr
    assert update.untouched


def test_a_permission_that_would_be_idle_is_told_and_nothing_written(update: Update) -> None:
    """580.173.02 is served from 20260817.0 on: the entry must go, and the same bump is taken
    without it.
    """
    fleet = '  drivers: ["535.129.03", "580.159.04", "580.173.02"]\n'
    allowing = '  allow_unserved: [{driver: "580.173.02", reason: "drained"}]\n'
    assert '  drivers: ["535.129.03", "580.159.04"]\n' in update.text
    bare = update.text.replace('  drivers: ["535.129.03", "580.159.04"]\n', fleet)
    update.text = bare.replace(fleet, fleet + allowing)
    update.versions.write_text(update.text)
    result = update.run("--write", "gvisor")
    assert result.returncode == 2
    assert "fleet.allow_unserved[0].driver: 580.173.02 needs no permission" in result.stderr
    assert "nothing was written; delete the entry, and run again" in result.stderr
    assert update.untouched
    update.versions.write_text(bare)
    assert update.run("--write", "gvisor").returncode == 0
    assert pins.load(update.versions)[0].components["gvisor"].version == "20260817.0"


def test_interrupted_leaves_the_file(update: Update) -> None:
    update.registry.rows[f"/{RUNC}/@v/list"] = "hang"
    command = update.command("--write")
    process = subprocess.Popen(
        command, env=update.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert update.registry.hanging.wait(30)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert update.untouched
