"""The address of a checkout's origin, as a release names it."""

import subprocess
from pathlib import Path

import pytest

from worker_images.release import drafts


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
