"""`build.py update` writes nothing when a source does not answer, or the new pins are not valid."""

import signal
import subprocess

import pytest

from tests.support import registries
from tests.support.updates import CLOSED, COMMIT, DAY, GVISOR, ROWS, SERVED, Update
from worker_images.model import pins


def test_bucket_is_named_when_it_does_not_answer(update: Update) -> None:
    """20260615.0 is not in checksums.json, so its SHA-512 is in the bucket alone."""
    older = {
        "20260622.0": "20260518.0",
        "20260701204157-69c2d17aea96": "20260518063529-209a0ce076a1",
    }
    for old, new in older.items():
        update.text = update.text.replace(old, new)
    update.text = update.text.partition("mirrors:")[0]
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
