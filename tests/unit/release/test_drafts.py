"""The archives of drafts, and the address of a checkout's origin as a release names it."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.archives import layer, write
from tests.support.records import RECORD
from worker_images.build import record
from worker_images.build.plan import Plan
from worker_images.errors import PolicyError
from worker_images.release import drafts

FAULTS: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:700]),
    "another": lambda path: write(path, [layer(("file", "b", "other"))]),
}


@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_archive_that_changed_after_its_tests_is_refused(
    fault: str | None, full: Plan, tmp_path: Path
) -> None:
    """Another process or user replaced it; exit 7 with the next step, and no traceback."""
    (tmp_path / "out/full").mkdir(parents=True)
    archive = write(tmp_path / "out/full/image.tar", [layer(("file", "a", "text"))])
    digest, image_id, _ = record.manifest(archive)
    built = replace(RECORD, variant="full", manifest_digest=digest, image_id=image_id)
    if fault is None:
        assert drafts.candidate(full, built, tmp_path).digest == digest
        return
    FAULTS[fault](archive)
    with pytest.raises(PolicyError, match=f"{archive}: .*changed after its tests; remove it"):
        drafts.candidate(full, built, tmp_path)


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://example.org/a/b.git", "https://example.org/a/b"),
        ("https://user:canary@example.org:8443/a?token=canary#x", "https://example.org:8443/a"),
        ("ssh://git@example.org:22/a.git", "https://example.org/a"),
        ("git@example.org:a/b.git", "https://example.org/a/b"),
        ("/home/someone/checkout", ""),
        ("file:///home/someone/checkout", ""),
        ("https://[/a", ""),
        ("", ""),
    ],
)
def test_source_has_neither_credentials_nor_folders_of_this_machine(
    remote: str, address: str, tmp_path: Path
) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)

    git("init", "--quiet")
    if remote:
        git("remote", "add", "origin", remote)
    assert drafts.source_of(tmp_path) == address
