"""versions.lock: its validation, and its comparison with the pins."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.build import requirements
from worker_images.errors import DriftError
from worker_images.files import ROOT
from worker_images.model import lock, project
from worker_images.model.lock import Lock

GVISOR = "images/components/gvisor"


@pytest.fixture
def loaded(checkout: Path) -> Callable[[], Lock]:
    """Read the lock of a copied checkout against its pins."""

    def load() -> Lock:
        return requirements.load(project.load(checkout))

    return load


def replaced(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_committed_lock_matches_the_pins(loaded: Callable[[], Lock]) -> None:
    """The control of the tests below."""
    assert loaded().toolchain.sum.startswith("h1:")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "versions.yaml",
            "20260701204157-69c2d17aea96",
            "20260518063529-209a0ce076a1",
            (
                "versions.lock: modules.gvisor: not in the lock:"
                " v0.0.0-20260518063529-209a0ce076a1; no longer needed:"
                " v0.0.0-20260701204157-69c2d17aea96"
            ),
        ),
        (
            "versions.yaml",
            "1.26.11",
            "1.26.10",
            "versions.lock: go.toolchain: not in the lock: 1.26.10; no longer needed: 1.26.11",
        ),
        (
            "versions.yaml",
            'version: "12.8.57"',
            'version: "12.8.90"',
            "versions.lock: wheels.arm64.cuda-runtime: not in the lock: 12.8.90",
        ),
        (
            "versions.yaml",
            'toolchain: "0.15.2"',
            'toolchain: "0.16.0"',
            "versions.lock: wheels.amd64.zig: not in the lock: 0.16.0; no longer needed: 0.15.2",
        ),
        (
            "versions.yaml",
            "599f6f94",
            "699f6f94",
            "published.https://github.com/opencontainers/runc/releases/download/v1.5.2/runc.amd64",
        ),
        (
            "images/base/packages.yaml",
            "  sed:",
            '  tmux: "a terminal"\n  sed:',
            "packages.amd64.base: not in the lock: tmux",
        ),
        (
            "images/base/packages.yaml",
            '  sed: "a worker\'s scripts"\n',
            "",
            "packages.arm64.base: no longer needed: sed",
        ),
        (
            f"{GVISOR}/go.mod",
            "go 1.26.11",
            "go 1.26.10",
            f"{GVISOR}/go.mod:1:1: differs from versions.lock",
        ),
        (
            f"{GVISOR}/go.sum",
            "h1:",
            "h1:A",
            f"{GVISOR}/go.sum:1:1: differs from versions.lock",
        ),
    ],
)
def test_difference_from_the_pins_is_reported(
    file: str, old: str, new: str, message: str, checkout: Path, loaded: Callable[[], Lock]
) -> None:
    replaced(checkout / file, old, new)
    with pytest.raises(DriftError, match="run: make lock") as error:
        loaded()
    assert message in str(error.value)
    assert error.value.exit_code == 2


def test_file_time_is_not_later_than_the_lock(checkout: Path, loaded: Callable[[], Lock]) -> None:
    """BuildKit would set the files back to the time of the lock."""
    time = loaded().debian.time
    replaced(checkout / "versions.yaml", 'file_time: "1782950400"', f'file_time: "{time}"')
    assert loaded().debian.time == time
    replaced(checkout / "versions.yaml", f'file_time: "{time}"', f'file_time: "{time + 1}"')
    with pytest.raises(
        DriftError,
        match=r"^versions\.yaml:\d+:\d+: file_time: later than versions\.lock; its last time is"
        rf" \S+, {time}; use an earlier file_time$",
    ):
        loaded()


def test_all_differences_are_reported_at_once(checkout: Path, loaded: Callable[[], Lock]) -> None:
    replaced(checkout / "versions.yaml", "1.26.11", "1.26.10")
    (checkout / GVISOR / "go.sum").unlink()
    with pytest.raises(DriftError) as error:
        loaded()
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (r'^    \{"name": "tini".*\n', "", "packages.amd64.holds.base: not in files: tini"),
        (
            r'"holds": \{\n    "base": \[[^\]]*\]',
            '"holds": {\n    "base": []',
            "packages.amd64.holds.base: not in files: base-files",
        ),
        (
            r'"url": "http://deb.debian.org/debian/pool/main/t/tini',
            '"url": "http://evil.example/debian/pool/main/t/tini',
            "is not below http://deb",
        ),
        (
            r'"url": "http://deb.debian.org/debian/pool/main/t/tini',
            '"url": "file:///etc/shadow',
            "is not below http://deb",
        ),
        (
            r'("name": "tini".*?"sha256": ")[0-9a-f]{64}',
            r"\1../../x",
            "files.tini: invalid or duplicate entry (needs name, sha256, size)",
        ),
        (
            r'("name": "tini".*?"size": )[0-9]+',
            r'\1"9"',
            "size is not an integer",
        ),
        (r'"name": "tini"', '"name": "../../tini"', "files.../../tini: invalid or duplicate entry"),
        (
            r'"sum": "h1:KyINm[^"]*"',
            '"sum": "h1:AAAA"',
            "toolchain: invalid entry (needs version, sum, size)",
        ),
        (
            r'"resolved": \["[^"]*"',
            '"resolved": ["soon"',
            "debian.resolved: not a list of ISO 8601 timestamps",
        ),
        (
            r'("cuda-runtime": .*"sha256": ")[0-9a-f]',
            r"\1g",
            "wheels.amd64.cuda-runtime: invalid entry (needs version, platform, sha256, size)",
        ),
        (
            '"platform": "manylinux2014_aarch64"',
            '"platform": "--index-url=http://a.example"',
            "wheels.arm64.cuda-runtime: invalid entry (needs version, platform, sha256, size)",
        ),
        (
            r'"digest": "sha256:d7',
            '"digest": "md5:d7',
            "published.debian:trixie-slim: invalid digest",
        ),
        (r'^ "toolchain": .*\n', r"\g<0>\g<0>", "duplicate key toolchain"),
    ],
)
def test_invalid_entry_is_reported(
    old: str, new: str, message: str, checkout: Path, loaded: Callable[[], Lock]
) -> None:
    path = checkout / "versions.lock"
    text, count = re.subn(old, new, path.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1
    path.write_text(text)
    with pytest.raises(DriftError) as error:
        loaded()
    assert message in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"debian": {}}', '{"debian": 1}', "[" * 10_000]
)
def test_file_that_is_not_a_lock_is_an_error(
    text: str, checkout: Path, loaded: Callable[[], Lock]
) -> None:
    (checkout / "versions.lock").write_text(text)
    with pytest.raises(
        DriftError, match=r"versions\.lock:\d+:1: not a valid lock .*run: make lock"
    ):
        loaded()


def test_missing_lock_is_an_error(checkout: Path, loaded: Callable[[], Lock]) -> None:
    (checkout / "versions.lock").unlink()
    with pytest.raises(
        DriftError,
        match=r"versions\.lock:1:1: cannot be read \(No such file or directory\); run: make lock",
    ):
        loaded()


def test_lock_is_next_to_its_pins() -> None:
    assert lock.lock_of(Path("/x/mine.yaml")) == Path("/x/mine.lock")


def test_build_reports_a_stale_lock(checkout: Path) -> None:
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    replaced(checkout / "versions.yaml", "1.26.11", "1.26.10")
    found = commands.run(
        [ROOT / ".venv/bin/python", checkout / "build.py", "--variant", "slim"], cwd=checkout
    )
    assert found.returncode == 2
    assert (
        "versions.lock: go.toolchain: not in the lock: 1.26.10; no longer needed: 1.26.11; run:"
        " make lock" in found.stderr
    )
