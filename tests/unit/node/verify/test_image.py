"""The checklist's rows for the image and the committed text: all pass, and each fails where one
thing is spoilt.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fake_worker import DRIVER, Worker, failed, run
from worker_images.files import ROOT
from worker_images.model.drivers.table import Table
from worker_images.node.verify import committed, image, verify
from worker_images.node.verify.rows import NOT_ASKED, PASSED, ask

Spoil = Callable[[Worker], object]
STAMP, FLAG, ACCEPTED, DRIVERS, BOOTS = (row.check for row in image.ROWS)
RENDERED, PINNED = (row.check for row in committed.ROWS)


@pytest.fixture
def checkout(kit_root: Path) -> Path:
    """A checkout whose Dockerfile is pinned."""
    (kit_root / "build.py").write_text(
        "#!/bin/sh\ntest ! -e drift || { echo 'build.py: slim differs; run: make render' >&2; exit"
        " 2; }\n"
    )
    (kit_root / "build.py").chmod(0o755)
    (kit_root / "images/slim").mkdir()
    (kit_root / "images/slim/Dockerfile.worker").write_text(
        "FROM scratch AS base\nFROM base AS worker\n"
    )
    return kit_root


@pytest.mark.usefixtures("image")
def test_a_sound_image_passes(checkout: Path) -> None:
    text, status, rows = run(checkout, "--image", "any", "--driver", DRIVER)
    assert (status, failed(rows)) == (0, set())
    assert text.endswith("Yes: of 7 checks asked 7 passed; 15 were not asked.")
    assert rows[STAMP]["note"]["here"]["said"].startswith("runsc version release-")


IMAGE_FAULTS: dict[str, tuple[Spoil, str, str]] = {
    "no stamp": (
        lambda w: w.write("said/version", "runsc version VERSION_MISSING\nspec: 1.2.1\n"),
        STAMP,
        "no stamp of a gVisor release",
    ),
    "another's drivers": (
        lambda w: w.write("said/version", "runsc version release-20250407.0\nspec: 1\n"),
        STAMP,
        "are not those of the release",
    ),
    "only the command": (
        lambda w: w.write("said/flags", "  -nvproxy-docker\n"),
        FLAG,
        "knows no nvproxy",
    ),
    "takes any flag": (
        lambda w: w.write("said/status-of---no-such-flag", "0"),
        ACCEPTED,
        "takes any flag",
    ),
    "takes no nvproxy": (
        lambda w: w.write("said/status-of---nvproxy", "2"),
        ACCEPTED,
        "knows no nvproxy",
    ),
    "does not boot": (Worker.refuse_to_boot, BOOTS, "the machine forbids runsc to make namespaces"),
    "another kernel": (
        lambda w: w.write("said/boot", "Linux version 6.1.0\n"),
        BOOTS,
        "Linux version 6.1.0",
    ),
}


@pytest.mark.parametrize("name", IMAGE_FAULTS)
def test_a_spoilt_image_fails(name: str, image: Worker, kit_root: Path) -> None:
    spoil, check, words = IMAGE_FAULTS[name]
    spoil(image)
    _, status, rows = run(kit_root, "--image", "any", "--driver", DRIVER)
    assert (status, failed(rows)) == (5, {check})
    assert words in rows[check]["cause"]


def test_the_notes_grep_is_fooled(image: Worker, kit_root: Path) -> None:
    """It finds the command's line in the help of a runsc without the flag."""
    image.write("said/flags", "  -network value\n")
    text, _, rows = run(kit_root, "--image", "any")
    assert rows[FLAG]["note"]["misleads"]
    assert "note    said yes here: runsc help 2>&1 | grep nvproxy" in text


@pytest.mark.usefixtures("image")
def test_a_driver_that_is_not_served(kit_root: Path) -> None:
    """The next step names the releases."""
    _, status, rows = run(kit_root, "--image", "any", "--driver", DRIVER, "--driver", "550.54.14")
    assert (status, failed(rows)) == (5, {DRIVERS})
    assert "from 20240325.0 on, last seen in 20250811.0" in rows[DRIVERS]["step"]


@pytest.mark.usefixtures("image")
def test_a_driver_that_nobody_named_is_not_asked_for(kit_root: Path) -> None:
    text, status, rows = run(kit_root, "--image", "any")
    assert (status, rows[DRIVERS]["state"]) == (0, NOT_ASKED)
    assert "not asked: --driver VERSION, or --node on a GPU node" in text


def test_a_release_that_nobody_knows_fails(image: Worker, kit_root: Path) -> None:
    image.write("said/version", "runsc version release-20991231.0\nspec: 1.2.1\n")
    _, status, rows = run(kit_root, "--image", "any")
    assert (status, rows[STAMP]["state"]) == (5, "failed")
    assert "no release of that name is known" in rows[STAMP]["cause"]


DIGEST = "sha256:" + "0" * 64
LINES = {
    "FROM debian:trixie": False,
    f"FROM debian@{DIGEST} AS base": True,
    "ADD https://example.com/runsc ./": False,
    f"ADD --checksum={DIGEST} https://example.com/runsc ./": True,
    'ADD https://example.com/runsc ./\nRUN echo "0  runsc" | sha512sum --check --strict': True,
    "RUN curl -fsSL https://example.com/runsc -o /usr/local/bin/runsc": False,
    "# https://example.com": True,
}


@pytest.mark.usefixtures("image")
@pytest.mark.parametrize("line", LINES)
def test_what_is_fetched_has_a_digest(line: str, checkout: Path) -> None:
    (checkout / "images/slim/Dockerfile.worker").write_text(f"FROM scratch AS base\n{line}\n")
    _, status, rows = run(checkout, "--image", "any")
    assert (status, failed(rows)) == ((0, set()) if LINES[line] else (5, {PINNED}))


@pytest.mark.usefixtures("image")
def test_drift_fails(checkout: Path) -> None:
    (checkout / "drift").touch()
    _, status, rows = run(checkout, "--image", "any")
    assert (status, failed(rows)) == (5, {RENDERED})


@pytest.mark.usefixtures("image")
def test_this_checkout_is_pinned() -> None:
    """The rows that read the repository, on the repository."""
    scene = verify._static(ROOT, Table())  # noqa: SLF001 - the place that a checkout is asked in
    assert [ask(row, scene).finding.state for row in verify.ROWS if row.layer == "static"] == [
        PASSED,
        PASSED,
    ]
