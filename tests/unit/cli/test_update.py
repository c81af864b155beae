"""The command `build.py update` with a loopback module proxy; all other hosts are unreachable."""

import json

import pytest

from tests.support.updates import COMMIT, GVISOR, SHA512, Update
from worker_images.build.update.values import Proposal, Verdict
from worker_images.cli import update as command
from worker_images.model import pins


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
        SHA512[:40],
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


def test_fork_is_left_alone(update: Update) -> None:
    pin = "    packages:\n      # renovate: datasource=go depName=gvisor.dev/gvisor\n"
    fork = '      replace:\n        module: "example.com/fork"\n        version: "v1.0.0"\n'
    assert pin in update.text
    update.text = update.text.replace(pin, pin + fork)
    update.versions.write_text(update.text)
    written = update.run("--write")
    assert (written.returncode, update.untouched) == (0, True)
    assert "replace names a fork, which update does not change\nnext: " in written.stdout
    assert json.loads(update.run("--json").stdout) == {"proposals": [], "written": ""}


@pytest.mark.parametrize(("patched", "step"), [(0, "make lock, then"), (2, "gVisor's 2 patches")])
def test_next_step_names_the_patches(patched: int, step: str, update: Update) -> None:
    row = Proposal("", COMMIT, None, None, Verdict.OFFERED)
    assert step in command.result(update.versions, row, patched)


def test_help_shows_examples_and_exit_codes(update: Update) -> None:
    result = update.run("--help")
    assert result.returncode == 0
    assert "./build.py update --write" in result.stdout
    assert "exit codes: 0 ok" in result.stdout
